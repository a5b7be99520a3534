// Package reports compares what a broadcaster is told of its swarm with the truth, in virtual time:
// production nodes on a simulated network, half of which agreed to report, with HLS servers whose
// players are known. scripts/bench.sh reports runs it; as a test it does so with few nodes.
//
// # What happens
//
// The nodes find each other, and there is no stream yet: for a minute nothing is asked, and for
// another one surveys go around. What the second moves more than the first is their cost, as nothing
// else differs. Then a stream of 300 kbit/s begins, and players at every node but each third: VLC,
// mpv and ffmpeg, which start three segments back and a second after they have the first. After
// another minute each fourth of the nodes is cut off for fifteen seconds, which makes its players
// stall, and 45 s later the broadcaster's estimates are read.
//
// # Figures
//
// Truth is what the players themselves know: how far behind the broadcaster's clock they are at the
// end, and for how long they had nothing to show in the last minute. The column of those that agreed
// is what the estimates are of; the one of all shows what is missing where others fare otherwise.
package reports
