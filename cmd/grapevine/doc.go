// Command grapevine broadcasts, relays and watches live streams peer to peer, and
// serves every stream that it holds as HLS on its own machine.
//
// This package is the wiring and the command line: the only place with flags,
// environment, signals and exit codes, and the only one that imports both p2p and
// hls. A command per file; around them:
//
//	args.go      flags before and after arguments, quantities such as 256MB
//	settings.go  the flags that all commands share
//	errors.go    errors become a sentence and a hint, and an exit code
//	home.go      the directory that keeps keys, epochs and locks
//	memory.go    the peers that it remembers
//	session.go   a p2p node and an HLS server that start and end together
//	encoder.go   encoders that connect by themselves: their key, and why one is refused
//	slate.go     what viewers see while one of those is awaited (--slate)
//	source.go    what broadcast publishes: inputs.go, one or several as they are; or
//	             encode.go, a ladder made of one (--encode); file.go has ffmpeg read files;
//	             origin.go follows an HLS stream
//	casts.go     the renditions that a broadcaster publishes
//	discovery.go in which DHT a node finds peers (--bootstrap, --no-dht)
//	public.go    what a public stream has in the directory (--public); list.go shows it
//	hybrid.go    HTTP origins, for what peers do not bring in time (--origin)
//	gateway.go   HLS for people who run nothing (--gateway), with certificate.go for TLS
//	record.go    a recorder beside them (--record); export.go cuts what it wrote
//	reach.go     how others reach a node; doctor.go asks peers, doctorfindings.go says it
//	adapter.go   shows a p2p node to hls in hls's own terms
//	screen.go    what people see; events.go: what programs read (--json)
//
// # The home directory
//
//	node.key, node-2.key …  the nodes' identities; a process takes the first whose lock
//	                        it gets, so that processes side by side have different ones
//	stream.key              the key of the stream that broadcast publishes
//	rtmp.key                what RTMP and WHIP encoders show to be let in
//	streams/<id>.epoch      the last epoch that was used, written before it is used
//	streams/<id>.peers      who served the stream lately, to be tried first the next time
//	streams/<id>.lock       held while the stream is broadcast from here
//
// It is --home, else $XDG_DATA_HOME/grapevine (~/.local/share/grapevine) on Linux and
// other Unixes, ~/Library/Application Support/grapevine on macOS, and
// %LocalAppData%\grapevine on Windows. Directories are 0700 and files 0600.
//
// # JSON
//
// With --json, standard output carries one JSON object a line and nothing else:
//
//	ready  the node serves: role, stream, link, hls, page, peer_id, addrs, and gateway if it
//	       has one. For watch and
//	       demo, when the playlist is playable. A broadcaster that listens for RTMP or WHIP
//	       tells what to set in them as encoders, one for each such input: server,
//	       stream_key, keyframe_interval, and for WHIP the page that publishes from a
//	       browser
//	stats  every few seconds: the figures of the node and its streams
//	end    a stream has ended; another epoch may follow
//	recording  the state of a rendition's recording is another: waiting, recording,
//	       ended or stopped, then with the error. Figures are in stats as recordings
//	directory  what list found: entries, each with stream, title, description, link, issued
//	        and expires
//	export what export wrote
//	doctor what doctor found: findings, each with check, state, says and do
//	error  why the command fails, its last line: error and hint
//
// # Ends
//
// SIGINT and SIGTERM end a command cleanly within 3 s with exit code 0; a broadcaster
// publishes the end of the stream first. A second signal kills at once. When its input
// ends, broadcast publishes the end, serves on for seven segments' time (14 s, at most a
// minute) for those that are behind, and exits with 0. Where encoders connect, the input
// ends when one that went has not come back for --reconnect. watch and relay go on serving
// until interrupted: a player may still be reading, and the broadcaster may come back with
// the next epoch.
//
// Exit codes: 0 ended well, 1 failed, 2 wrong usage.
package main
