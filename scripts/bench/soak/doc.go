// Package soak leaves a production relay alone for days of virtual time, while public streams come
// and go and their viewers join, leave and die, and prints what the relay holds at the end of each
// day. scripts/bench.sh soak runs it; as a test it does so for two short days.
//
// # What happens
//
// The relay carries public streams by need, as relay --follow-public does, two at a time, and keeps them in
// memory and on disk, both bounded so that they are full after hours. A stream is on air for five to
// fifteen minutes, at 100 kbit/s. Its broadcaster is a new host that only knows the relay;
// two to four viewers, new hosts too, come by its link. Each of all these ends as people do: some
// close, some lose power.
//
// # Figures
//
// They are taken at the end of each day, when nothing has been on air for half an hour: the live
// heap and goroutines of the whole process, its file descriptors, what the relay's stores hold, and the
// peers that it remembers.
//
// Hosts that are gone leave something behind in the simulator. What that is for each is measured
// first, with hosts of no node, and subtracted.
package soak
