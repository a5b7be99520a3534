// Package discovery finds the peers that hold a stream in a Kademlia DHT, and lets
// others find this node there. A bare stream ID is enough to find them by.
//
// # Two networks
//
// A node takes part in one of two DHTs, or in none:
//
//	the public one   that of the IPFS network, protocol /ipfs/kad/1.0.0, entered by way of
//	                 its bootstrap nodes
//	one's own        protocol /grapevine/kad/1.0.0, entered by way of one's own bootstrap
//	                 nodes, which are relays with --bootstrap-only
//
// One's own has a protocol of its own because nodes take whoever is connected and speaks
// their DHT's protocol into their routing tables: with one protocol for both, a single node
// that knows peers of both would join them for good, and providers in a private network
// would be told to the public one. It stores providers only, and lets through
// loopback and private addresses, which the public one must not have.
//
// Nothing is dialled before the first [DHT.Find] or [DHT.Provide], except by a server.
//
// # Keys
//
// Who holds a stream provides a key that is another each hour:
//
//	slot = Unix time in seconds / 3600
//	key  = CIDv1, codec raw, of SHA-256("/grapevine/stream/1/" ‖ stream ID, 32 bytes ‖ slot, 8 bytes, big-endian)
//
// The public DHT keeps a provider for 48 h, and nobody can take himself out of it. Who
// watches live streams leaves after minutes, so that under one key for good nearly all
// providers would be gone. Under an hour's key nobody has been gone for longer than that.
// Ten minutes before and after the hour a node provides both keys, so that clocks may be off by
// so much; who seeks goes by his own.
//
// # What is believed
//
// Nothing: a provider is an address to knock at. Who is there proves its peer ID as always,
// and all that it sends must be signed by the stream's key. In the public DHT, addresses
// that are not public are left out, so that a forger cannot have nodes knock at doors
// of their own networks. How many providers one search hands over is up to its caller.
//
// # Servers
//
// A node answers others' queries while it is known to be reachable (AutoNAT), and if
// [Config.Server] always does. What others store with it is bounded: see [store].
package discovery
