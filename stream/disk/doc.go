// Package disk keeps verified parts in files, behind a store's memory and from one run of a
// node to the next. It is plain files, as measured: scripts/bench.sh store has the figures
// beside an embedded database.
//
//	store ──whole part──> queue ──> writer ──> volume that grows ──> volume … volume ──> gone
//	       (memory)     (bounded)      |         .parts  .index        (oldest first)
//	                                   v
//	                               catalogue: which part is where, in memory
//	                                   |
//	store, timeline <── verify <── read at its place
//
// # Files
//
//	DIR/.lock                          held by the process that uses the directory
//	DIR/format                         "grapevine cache 1": an unknown version is refused
//	DIR/<stream-id>/<number>.parts     the chunks of parts, one part after the other
//	DIR/<stream-id>/<number>.index     a record of each
//
// Two files of one number are a volume: parts of all renditions of a stream in the order in
// which they became whole, a 128th of the bound, 1 MiB at least and 64 MiB at most. It is the
// smallest thing that is let go. A run begins volumes of its own and only mends
// those from before. Files of other names are left alone.
//
// # The index
//
// A record, numbers with their least byte first:
//
//	 0  4  "gvp1"
//	 4  4  CRC-32C of what follows
//	 8  2  bytes of the header
//	10  1  bytes of the rendition's name
//	11  1  1: last of its segment, 2: end of an epoch, without chunks
//	12  4  part
//	16  8  epoch
//	24  8  segment
//	32  8  where the chunks begin in .parts
//	40  4  bytes of all chunks
//	44  4  bytes of every chunk but the last
//	48     the rendition's name, then the signed header as it is on the wire
//
// Where there is none, the next is looked for. Opening reads the indexes, some 0.2% of
// the whole, checks no signature, and no more of the parts than their files' sizes.
// In memory a part takes some 80 bytes: a day of half second parts 14 MB.
//
// # What is promised
//
// Nothing is believed that was read: each header's signature and each chunk's hash is checked,
// whatever happened to the files. A chunk that is not as it was signed counts as
// missing from then on, and as damaged; when it is fetched again it is written to its place.
// A part whose header is not is forgotten. So nothing needs to be written in an order or at a time:
// after a crash all is there that was written, after a power cut what the system had written
// or a volume's end had synced.
//
// Writing is aside: the store hands over whole parts and goes on. At most 32 MiB wait; a part
// that finds no room is counted as slow. A disk that refuses a part, because it is full for
// one, is tried again five seconds later, and parts meanwhile are counted as failed: memory has
// them. When it begins and when it ends is told once.
//
// What is let go is the oldest volume of the stream that has most, so that all streams have
// as much in the end, but for those that need less. Streams of which this run wrote and read
// nothing for a day go first, the one that is unused for longest before others. A stream of which
// nothing is left has no directory, and one of which nothing comes for a minute no open file.
package disk
