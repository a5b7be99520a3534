#!/bin/sh
# Makes stream/ingest/sample.ts, the built-in test card: 64 s at 25 fps and 48 kHz, which
# is a whole number of pictures (1600), of keyframe intervals (2 s) and of AAC frames
# (3000 of 1024 samples), so that it loops without a seam. The sound repeats each second;
# its frames are cut from the middle of a longer encoding, so that the first follows the
# last as any other. A beep and a flash come at each full second.
#
# Needs ffmpeg with libx264, and the DejaVu fonts (Debian: ffmpeg fonts-dejavu-core).
set -eu
out=${1:-$(dirname "$0")/../stream/ingest/sample.ts}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
seconds=64
sans=$(fc-match -f '%{file}' 'DejaVu Sans:bold')
mono=$(fc-match -f '%{file}' 'DejaVu Sans Mono:bold')

# A ball goes to and fro in 4 s; the clock's last digits are the picture's number.
cat >"$tmp/filter" <<FILTER
color=c=0x1b1030:s=640x360:r=25:d=$seconds,format=yuv420p[bg];
smptehdbars=s=640x96:r=25:d=$seconds,format=yuv420p[bars];
[bg][bars]overlay=0:264,
drawbox=x=0:y=258:w=640:h=6:color=0x9b5de5:t=fill,
drawtext=fontfile=$sans:text=grapevine:fontcolor=0xf4eefc:fontsize=64:x=(w-tw)/2:y=26,
drawtext=fontfile=$mono:text='%{eif\:floor(t+0.001)/60\:d\:2}\:%{eif\:mod(floor(t+0.001)\,60)\:d\:2}.%{eif\:mod(n\,25)\:d\:2}':fontcolor=0xf4eefc:fontsize=72:x=(w-tw)/2:y=102,
drawtext=fontfile=$sans:text='picture %{n}':fontcolor=0xb8a6d9:fontsize=20:x=24:y=230,
drawtext=fontfile=$sans:text='beep = flash':fontcolor=0xb8a6d9:fontsize=20:x=w-tw-24:y=230,
drawbox=x=556:y=34:w=56:h=56:color=0xffffff:t=fill:enable='lt(mod(n,25),3)',
drawbox=x=556:y=34:w=56:h=56:color=0x6b4ba3:t=3[card];
color=c=0x00f5d4:s=36x36:r=25:d=$seconds,format=yuva420p,
geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='255*lt(hypot(X-17.5,Y-17.5),17.5)'[ball];
[card][ball]overlay=x='20+(W-76)*(1-cos(2*PI*n/100))/2':y=182:shortest=1,format=yuv420p[v]
FILTER
ffmpeg -v error -y -filter_complex_script "$tmp/filter" -map '[v]' -frames:v $((seconds * 25)) \
	-c:v libx264 -preset veryslow -profile:v high -level 3.0 -crf 31 -tune animation -threads 1 \
	-x264-params keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2:b-pyramid=none \
	-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv -video_track_timescale 90000 "$tmp/v.mp4"

# 0.12 s of 1 kHz at each second over a soft chord, all of whole periods per second.
# The encoder puts one frame of silence first. Skipping 1 + 375 frames starts at 8 s, a
# multiple both of the frames' length and of a second.
ffmpeg -v error -y -f lavfi -i "aevalsrc='0.03*sin(2*PI*220*t)+0.02*sin(2*PI*277*t)+0.02*sin(2*PI*330*t)+0.35*sin(2*PI*1000*t)*lt(mod(t\,1)\,0.12)*min(1\,min(mod(t\,1)\,max(0\,0.12-mod(t\,1)))/0.005)':s=48000:d=$((seconds + 16))" \
	-c:a aac -b:a 28k -ac 1 -f adts "$tmp/long.aac"
ffmpeg -v error -y -i "$tmp/long.aac" -c copy -bsf:a "noise=drop='lt(n\,376)+gte(n\,3376)'" -f adts "$tmp/a.aac"

ffmpeg -v error -y -i "$tmp/v.mp4" -i "$tmp/a.aac" -map 0:v -map 1:a -c copy \
	-metadata service_name=grapevine -metadata service_provider=grapevine \
	-muxdelay 0.1 -muxpreload 0.1 -pat_period 2 -sdt_period 60 -flush_packets 0 -f mpegts "$out"
ls -l "$out"
