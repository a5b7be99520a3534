package p2p

import (
	"encoding/binary"
	"iter"
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// outgoing is a message to a peer.
type outgoing struct {
	to peer.ID
	partialmessages.PublishAction
}

// publish gives actions their form and hands them to pubsub, in their order.
func (e *exchange) publish(f *flow, actions []schedule.Action) {
	opened := f.opened
	f.opened = nil
	for len(actions) > 0 {
		pos := actions[0].Part
		var out []outgoing
		for len(actions) > 0 && actions[0].Part == pos {
			if o, ok := e.message(f, actions[0]); ok {
				out = append(out, o)
			}
			actions = actions[1:]
		}
		f.encoded.part, f.encoded.message = stream.Position{}, nil // the next step's are older
		f.encoded.chunks = f.encoded.chunks[:0]
		if i := slices.Index(opened, pos); i >= 0 {
			opened = slices.Delete(opened, i, i+1)
		}
		e.publishPart(f, pos, out)
	}
	for _, pos := range opened {
		e.publishPart(f, pos, nil) // so that pubsub knows that this node speaks of it, too
	}
}

// message gives an action its form, unless nothing is left of it.
func (e *exchange) message(f *flow, a schedule.Action) (o outgoing, ok bool) {
	o.to, ok = e.ids[a.To]
	if !ok {
		return o, false
	}
	if a.Meta != nil {
		o.EncodedPartsMetadata = marshalMetadata(a.Meta)
	}
	if len(a.Chunks) == 0 {
		return o, a.Meta != nil
	}
	// Most chunks go to several neighbours at once, in the same form.
	if last := &f.encoded; last.part == a.Part && slices.Equal(last.chunks, a.Chunks) {
		o.EncodedPartialMessage = last.message
		e.countSent(o.to, len(a.Chunks), last.payload)
		return o, true
	}
	id := stream.PartID{Stream: e.s.id, Rendition: f.rendition, Position: a.Part}
	chunks := make([]chunkMessage, 0, len(a.Chunks))
	size := 0
	for _, c := range a.Chunks {
		data := e.s.node.store.ChunkInMemory(id, c.Index)
		if data == nil { // the store let go of it
			f.x.Lost(a.Part, c.Index)
			continue
		}
		chunks = append(chunks, chunkMessage{c.Index, c.Age, data})
		size += len(data) + 3*binary.MaxVarintLen32
	}
	if len(chunks) > 0 {
		o.EncodedPartialMessage = make([]byte, 0, size)
	}
	sent := 0
	for _, c := range chunks {
		o.EncodedPartialMessage = appendChunk(o.EncodedPartialMessage, c)
		sent += len(c.data)
	}
	if len(chunks) == len(a.Chunks) {
		f.encoded = encoded{a.Part, append(f.encoded.chunks[:0], a.Chunks...), o.EncodedPartialMessage, sent}
	}
	e.countSent(o.to, len(chunks), sent)
	return o, a.Meta != nil || len(chunks) > 0
}

// encoded is a partial message as it goes out.
type encoded struct {
	part    stream.Position
	chunks  []schedule.SendChunk
	message []byte
	payload int // bytes of chunks in it
}

// countSent counts chunks that go to a peer, and their bytes.
func (e *exchange) countSent(to peer.ID, chunks, size int) {
	e.s.count(func(k *counters) {
		k.stats.ChunksSent += int64(chunks)
		k.stats.BytesSent += int64(size)
		k.peer(to).BytesOut += int64(size)
	})
}

// publishPart hands messages about a part to pubsub.
func (e *exchange) publishPart(f *flow, pos stream.Position, messages []outgoing) {
	err := pubsub.PublishPartial(e.s.node.ps, f.topic, marshalPosition(pos),
		func(map[peer.ID]peerState, func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
			return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
				for _, m := range messages {
					if !yield(m.to, m.PublishAction) {
						return
					}
				}
			}
		})
	if err != nil && e.s.ctx.Err() == nil {
		e.s.log.Warn("cannot publish", "part", pos, "err", err)
	}
}
