package fmp4

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// probed is what ffprobe says of a file's stream.
type probed struct {
	Type   string `json:"codec_type"`
	Frames string `json:"nb_read_frames"`
}

// probedPacket is what ffprobe says of a packet, in seconds.
type probedPacket struct {
	Type     string `json:"codec_type"`
	DTS      string `json:"dts_time"`
	Duration string `json:"duration_time"`
}

// TestFFmpeg compares what ffmpeg decodes of init and fragments with what it decodes of
// the parts, and checks that no frame begins elsewhere than where the one before ended.
func TestFFmpeg(t *testing.T) {
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s", tool)
		}
	}
	for _, test := range []struct {
		name   string
		encode []string
	}{
		{"H.264 with B pictures, AAC", []string{"-r", "25", "-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-c:a", "aac", "-ar", "44100"}},
		{"H.264 at 29.97 pictures a second, open GOPs, AC-3", []string{"-r", "30000/1001", "-c:v", "libx264", "-preset", "veryfast", "-x264-params", "open-gop=1:keyint=60", "-c:a", "ac3"}},
		{"HEVC, Opus", []string{"-r", "25", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=50:log-level=none", "-c:a", "libopus"}},
		{"H.264, MP3", []string{"-r", "24", "-c:v", "libx264", "-preset", "veryfast", "-g", "48", "-c:a", "libmp3lame"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x180:r=60:d=7", "-f", "lavfi", "-i", "sine=d=7", "-pix_fmt", "yuv420p"}, test.encode...)
			encoder := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-ac", "2", "-f", "mpegts", "-")...)
			encoder.Stderr = os.Stderr
			input, err := encoder.Output()
			if err != nil {
				t.Skipf("this ffmpeg cannot encode it: %v", err)
			}
			list := cut(t, input)
			var ts, mp4 bytes.Buffer
			var r Remuxer
			for n, p := range list {
				f, err := r.Remux(p)
				if err != nil || f.Lost > 0 || f.Init != nil && n > 0 {
					t.Fatalf("part %d: %v, %d frames lost, an init of %d bytes", n, err, f.Lost, len(f.Init))
				}
				ts.Write(p.Data)
				mp4.Write(f.Init)
				mp4.Write(f.Data)
			}
			t.Logf("%d parts, %v, %d bytes of MPEG-TS, %d of MP4", len(list), total(list), ts.Len(), mp4.Len())
			want, _ := probe(t, "parts.ts", ts.Bytes())
			got, packets := probe(t, "parts.mp4", mp4.Bytes())
			for kind, frames := range want {
				if got[kind] != frames || frames < 100 {
					t.Errorf("%s: %d frames decode, want %d", kind, got[kind], frames)
				}
			}
			for kind, list := range packets {
				for i := 1; i < len(list); i++ {
					before, now := list[i-1], list[i]
					if before.Duration == "" { // ffmpeg 5 tells none of Opus: 20 ms
						before.Duration = "0.02"
					}
					if gap := seconds(t, now.DTS) - seconds(t, before.DTS) - seconds(t, before.Duration); gap < -2e-5 || gap > 2e-5 {
						t.Errorf("%s: frame %d begins %.6f s after the one before ended", kind, i, gap)
					}
				}
			}
		})
	}
}

func seconds(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// probe returns how many frames of each kind decode, and the packets.
func probe(t *testing.T, name string, data []byte) (frames map[string]int, packets map[string][]probedPacket) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_packets", "-of", "json", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Streams []probed       `json:"streams"`
		Packets []probedPacket `json:"packets"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	frames, packets = map[string]int{}, map[string][]probedPacket{}
	for _, s := range answer.Streams {
		n, err := strconv.Atoi(s.Frames)
		if err != nil {
			t.Fatal(err)
		}
		frames[s.Type] = n
	}
	for _, p := range answer.Packets {
		packets[p.Type] = append(packets[p.Type], p)
	}
	return frames, packets
}

// BenchmarkRemuxEncoded8Mbit takes 10 s of 8 Mbit/s as ffmpeg encodes them, noise and all.
func BenchmarkRemuxEncoded8Mbit(b *testing.B) {
	encoder := exec.CommandContext(b.Context(), "ffmpeg", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=10,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=d=10",
		"-c:v", "libx264", "-preset", "superfast", "-pix_fmt", "yuv420p", "-b:v", "7700k", "-minrate", "7700k", "-maxrate", "7700k", "-bufsize", "4M", "-g", "50",
		"-c:a", "aac", "-f", "mpegts", "-")
	input, err := encoder.Output()
	if err != nil {
		b.Skipf("ffmpeg cannot encode it: %v", err)
	}
	list := cut(b, input)
	b.ResetTimer()
	benchmarkRemux(b, list)
}
