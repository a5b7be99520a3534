// Command grapevine broadcasts, relays and watches live streams peer to peer, and
// serves every stream that it holds as HLS on its own machine.
//
// This package is the wiring and the command line: the only place with flags,
// environment, signals and exit codes, and the only one that imports both p2p and
// hls. A command per file; around them:
//
//	args.go      flags before and after arguments, quantities such as 256MB
//	settings.go  the flags that all commands share
//	given.go     what the environment and the configuration file (config.go) say of flags that
//	             the command line leaves out; configcommand.go shows it
//	reload.go    reads all that again at SIGHUP; notify.go tells systemd
//	job.go       what a command line asks for, read and checked
//	errors.go    errors become a sentence and a hint, and an exit code
//	home.go      the directory that keeps keys, epochs and locks
//	vault.go     its keys under a passphrase, which passphrase.go asks for
//	memory.go    the peers that it remembers
//	limits.go    what a node may use (--max-upload, --monthly-budget, --schedule …)
//	keeper.go    holds it to that; usage.go is what was used, keep.go shows it
//	session.go   a p2p node and an HLS server that start and end together
//	encoder.go   encoders that connect by themselves: their key, and why one is refused
//	slate.go     what viewers see while one of those is awaited (--slate)
//	source.go    what broadcast publishes: inputs.go, one or several as they are; or
//	             encode.go, a ladder made of one (--encode); file.go has ffmpeg read files;
//	             origin.go follows an HLS stream
//	casts.go     the renditions that a broadcaster publishes
//	discovery.go in which DHT a node finds peers (--bootstrap, --no-dht)
//	volunteer.go which public streams a relay carries (--follow-public)
//	public.go    what a public stream has in the directory (--public); list.go shows it
//	private.go   who may open a stream (--private, --trusted-relays); invite.go invites them,
//	             guests.go keeps them; moderate.go does as much of it at a broadcaster elsewhere (--link)
//	delegate.go  who may broadcast a stream, moderate it or be its trusted relay (delegate,
//	             --delegation); delegations.go keeps that, and what was revoked
//	hybrid.go    HTTP origins, for what peers do not bring in time (--origin)
//	door.go      whom the server of --http answers
//	gateway.go   HLS for people who run nothing (--gateway), with certificate.go for TLS
//	record.go    a recorder beside them (--record); export.go cuts what it wrote
//	reach.go     how others reach a node; doctor.go asks peers, doctorfindings.go says it
//	completion.go and man.go tell shells and people of all commands; version.go what was built;
//	health.go asks a running node
//	adapter.go   shows a p2p node to hls in hls's own terms
//	status.go    asks a running node for its figures; statusmodel.go shows them live, and
//	             statusview.go draws them
//	metrics.go   what Prometheus gets of the process itself; pprof.go serves profiles (--pprof)
//	screen.go    what people see; events.go: what programs read (--json)
//
// # The home directory
//
//	node.key, node-2.key …  the nodes' identities; a process takes the first whose lock
//	                        it gets, so that processes side by side have different ones
//	node.usage, node-2.usage …  what each of them sent and received in each month, all headers
//	                        included. With a budget nothing passes that was not written here
//	                        before, some seconds' worth at a time, so that a crash makes it more
//	                        than was used. A budget is of all of them together
//	stream.key              the key of the stream that broadcast publishes
//	rtmp.key                what RTMP and WHIP encoders show to be let in
//	http.token              what other machines show to be let in by --http
//	home.key                if there is a passphrase: under it, what opens the keys above
//	version                 of all this; 1 had none
//	home.lock               held by all who use the home, or by one who changes its passphrase
//	streams/<id>.epoch      the last epoch that was used, written before it is used
//	streams/<id>.peers      who served the stream lately, to be tried first the next time
//	streams/<id>.invites    whom a private stream's broadcaster invited, and who came; no secrets.
//	                        A broadcaster that runs reads it for each period and enrolment, so
//	                        that the invite command needs no other way to it; both change it under
//	                        streams/<id>.invites.lock
//	streams/<id>.link       where the stream was broadcast last, for invites
//	streams/<id>.invited    the invite with which this home watched it: a secret
//	streams/<id>.delegations  to whom the stream's key delegated, by name; no secrets
//	streams/<id>.revocations  the newest revocations of the stream that this home knows, its own or
//	                        others'. A node that runs looks every 2 s, and passes them on; so the
//	                        delegate command needs no other way to it
//	viewer.key              what this home's keys as a viewer of private streams are made of
//	streams/<id>.lock       held while the stream is broadcast from here
//
// It is --home, else $XDG_DATA_HOME/grapevine (~/.local/share/grapevine) on Linux and
// other Unixes, ~/Library/Application Support/grapevine on macOS, and
// %LocalAppData%\grapevine on Windows. Directories are 0700 and files 0600.
//
// With a passphrase, each key is an armoured age file for the one X25519 identity that
// home.key has under scrypt; so another passphrase is one file, and a node pays for scrypt
// once. Without grapevine: age -d home.key >id && age -d -i id stream.key.
//
// # Settings
//
// A flag's value is that of the command line, else of GRAPEVINE_ and its name in capitals with _
// for -, else of the command's section in the configuration file, else of the file's outermost
// level. An empty variable counts as none. The file is --config, else GRAPEVINE_CONFIG, else
// grapevine/config.yaml in [os.UserConfigDir], else /etc/grapevine/config.yaml; one file only. It
// is YAML without anchors, aliases and tags. Values are taken as they are written and read by the
// flags themselves, so a mistake is told in the same words, with its line.
//
// At SIGHUP a node reads them once more, from the same places. What reload.go names as reloadable
// changes at once; streams that go on being carried lose nothing. Of the rest it is said that the
// node must be restarted. A mistake leaves all as it was. A SIGHUP because the terminal is
// gone ends the node as SIGTERM does.
//
// Started by systemd as a service of Type=notify, a node tells when it is ready, reads its settings
// and stops, what its status line says, and with WatchdogSec= that it is alive (notify.go).
//
// # JSON
//
// With --json, standard output carries one JSON object a line and nothing else:
//
//	ready  the node serves: role, stream, link, hls, page, peer_id, addrs, gateway if it
//	       has one, and network, the page for other machines, if --http lets them in. For watch and
//	       demo, when the playlist is playable. A broadcaster that listens for RTMP or WHIP
//	       tells what to set in them as encoders, one for each such input: server,
//	       stream_key, keyframe_interval, and for WHIP the page that publishes from a
//	       browser
//	stats  every few seconds: the figures of the node and its streams
//	end    a stream has ended; another epoch may follow
//	pause  the node has left the mesh: why is schedule or budget, until when it comes back
//	resume it is back
//	reload  the settings were read again: changed and restart name those that are others now, and
//	       that will be after a restart; or error and hint say why all stays as it was
//	recording  the state of a rendition's recording is another: waiting, recording,
//	       ended or stopped, then with the error. Figures are in stats as recordings
//	directory  what list found: entries, each with stream, title, description, link, issued
//	        and expires
//	status what a running node says of itself: all that /api/v1/status answers
//	export what export wrote
//	health  the node that health asked is well: role, version, streams, closed
//	version what was built: version, commit, modified, go, platform
//	invite, invites, revoked  what invite did: a link, which is a secret; all invites, each with
//	       name, state (holds, expired or revoked), expires, uses and viewers, and revoked_by, the key of
//	       the moderator who took it back, at the broadcaster; a name
//	delegated, delegations, delegate-revoked, delegate-imported  what delegate did: a delegation and its file; all
//	       of them, each with name, role, key, peer_id if it is a relay, state (holds, expired or revoked) and expires; the
//	       issue of revocations, and their file or number
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
