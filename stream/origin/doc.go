// Package origin is the HTTP resource by which a node gets a stream from another without
// being its peer: [Handler] serves it from a node's timelines and store, [Client] asks it.
// It is fit for a CDN in between, and nobody has to trust any of them: what comes is signed
// by the broadcaster, and becomes headers and chunks through stream.OpenHeader and
// stream.OpenChunk alone.
//
// # The resource
//
// An origin is named by scheme, host and port, see stream.ParseOrigin. There are five
// kinds of addresses, for GET and HEAD, of which all others may read the answers (CORS):
//
//	/origin/v1/<stream-id>/timeline
//	    The signed headers of the last [Segments] segments of each rendition, for who comes; before
//	    them, in the place of a header, the stream's revocations, if there are any.
//	    Cache-Control: max-age=1.
//
//	/origin/v1/<stream-id>/<rendition>/after/<epoch>-<segment>-<part>
//	    The signed headers after that part, oldest first, at most [MaxAfter]. If there is
//	    none yet the request is held until there is, for [Hold] at most, and then answered
//	    with 204, which is not to be cached. Else Cache-Control: max-age=1: many who wait for
//	    the same make one request of a CDN's.
//
//	/origin/v1/<stream-id>/<rendition>/<epoch>-<segment>-<part>
//	    The part's bytes as its broadcaster published them: its chunks, one after the other.
//	    Ranges are served (RFC 9110, section 14), so that who lacks some chunks gets those.
//	    A part never changes, and its position is never used again, so it may be cached for
//	    ever; its entity tag is made of its chunks' hashes, and is the same on every node.
//	    The request for a part of which the header is there and chunks are not is held for
//	    [HoldPart] at most, unless it is older than the last [Segments] segments.
//
// Two of them are for who rewinds:
//
//	/origin/v1/<stream-id>/<rendition>/held
//	    The runs of segments that the origin holds whole and will hold for a while, 16 at
//	    most. Cache-Control: max-age=1.
//
//	/origin/v1/<stream-id>/<rendition>/before/<epoch>-<segment>-<part>
//	    The signed headers before that part, newest first, at most [MaxBefore].
//	    Cache-Control: max-age=10.
//
// Answers but for parts come as messages of Protocol Buffers; headers of what is live come
// oldest first in each rendition:
//
//	message Headers {
//	  repeated bytes header = 1;  // a SignedHeader, see package stream
//	}
//	message Held {
//	  repeated Span span = 1;     // see stream.Span
//	}
//
// 404 says that the origin has no such stream or part, which may not be cached; 503 with
// Retry-After that too many requests are held. An origin does not redirect: where an answer
// may come from is what the broadcaster signed, or what this node's owner chose.
package origin
