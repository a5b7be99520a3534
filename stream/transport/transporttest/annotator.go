// Package transporttest puts timed ID3 and SCTE-35 into MPEG-TS as an encoder would that
// sends them: with astits and scte35-go, not with what the program writes them with. It
// belongs to tests.
package transporttest

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/Comcast/scte35-go/pkg/scte35"
	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream/transport"
)

// PIDs of the streams that are added. The last is of a type that nobody publishes.
const (
	ID3PID    = 0x300
	SplicePID = 0x301
	OtherPID  = 0x302

	streamIDPrivate = 0xbd
	wrap            = 1 << 33
)

// Note is a message that comes before a frame.
type Note struct {
	PTS     int64  // of Tag, ticks of 90 kHz
	Tag     []byte // timed ID3
	Section []byte // a splice_info_section
}

// Annotator copies MPEG-TS of one program and puts notes into it.
type Annotator struct {
	// W gets the packets.
	W io.Writer
	// Notes returns what comes before the n-th frame of the first stream; dts is its
	// decoding time, 33 bits at 90 kHz.
	Notes func(n int, dts int64) []Note

	rest   []byte // the beginning of a packet
	tables transport.Tables
	pmtPID uint16
	leader uint16
	frames int

	own   bytes.Buffer
	mux   *astits.Muxer
	cc    map[uint16]byte
	table []byte // the packet of the PMT
}

// Write takes bytes of the stream, which begins with a packet.
func (a *Annotator) Write(b []byte) (int, error) {
	a.rest = append(a.rest, b...)
	for ; len(a.rest) >= transport.PacketSize; a.rest = a.rest[transport.PacketSize:] {
		if err := a.packet(a.rest[:transport.PacketSize]); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (a *Annotator) packet(raw []byte) error {
	p := transport.ParsePacket(raw)
	pmt := a.tables.Add(raw, p)
	if pmt != nil {
		a.pmtPID = p.PID
		if err := a.program(pmt); err != nil {
			return err
		}
	}
	if a.table != nil && p.PID == a.pmtPID {
		return a.write(a.table)
	}
	if h, ok, _ := transport.ParsePESHeader(p.Payload); ok && p.Start && p.PID == a.leader {
		for _, n := range a.Notes(a.frames, h.DTS) {
			if err := a.note(n); err != nil {
				return err
			}
		}
		a.frames++
	}
	_, err := a.W.Write(raw)
	return err
}

// program makes the PMT with the streams of notes.
func (a *Annotator) program(pmt *astits.PMTData) error {
	if a.cc == nil {
		a.cc = make(map[uint16]byte)
	}
	a.own.Reset()
	a.mux = astits.NewMuxer(context.Background(), &a.own, astits.WithPMTPID(a.pmtPID))
	id3 := []byte("\xff\xffID3 \xffID3 \x00\x0f")
	const cuei = 'C'<<24 | 'U'<<16 | 'E'<<8 | 'I'
	streams := append(pmt.ElementaryStreams,
		&astits.PMTElementaryStream{ElementaryPID: ID3PID, StreamType: 0x15, ElementaryStreamDescriptors: []*astits.Descriptor{
			{Tag: 0x26, Length: uint8(len(id3)), Unknown: &astits.DescriptorUnknown{Tag: 0x26, Content: id3}},
		}},
		&astits.PMTElementaryStream{ElementaryPID: SplicePID, StreamType: 0x86, ElementaryStreamDescriptors: []*astits.Descriptor{
			{Tag: astits.DescriptorTagRegistration, Length: 4, Registration: &astits.DescriptorRegistration{FormatIdentifier: cuei}},
		}},
		&astits.PMTElementaryStream{ElementaryPID: OtherPID, StreamType: 0x05})
	for _, es := range streams {
		if err := a.mux.AddElementaryStream(*es); err != nil {
			return fmt.Errorf("add stream %#x: %w", es.ElementaryPID, err)
		}
	}
	a.leader = pmt.ElementaryStreams[0].ElementaryPID
	a.mux.SetPCRPID(pmt.PCRPID)
	if _, err := a.mux.WriteTables(); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	a.table = bytes.Clone(a.own.Bytes()[transport.PacketSize:])
	return nil
}

func (a *Annotator) note(n Note) error {
	if n.Tag != nil {
		a.own.Reset()
		if _, err := a.mux.WriteData(&astits.MuxerData{PID: ID3PID, PES: &astits.PESData{
			Header: &astits.PESHeader{StreamID: streamIDPrivate, OptionalHeader: &astits.PESOptionalHeader{
				MarkerBits: 2, DataAlignmentIndicator: true, PTSDTSIndicator: astits.PTSDTSIndicatorOnlyPTS,
				PTS: &astits.ClockReference{Base: n.PTS & (wrap - 1)},
			}},
			Data: n.Tag,
		}}); err != nil {
			return fmt.Errorf("write ID3: %w", err)
		}
		for b := a.own.Bytes(); len(b) > 0; b = b[transport.PacketSize:] {
			if p := b[:transport.PacketSize]; transport.ParsePacket(p).PID == ID3PID {
				if err := a.write(p); err != nil {
					return err
				}
			}
		}
	}
	if n.Section == nil {
		return nil
	}
	for _, p := range SectionPackets(SplicePID, n.Section) {
		if err := a.write(p); err != nil {
			return err
		}
	}
	return nil
}

// write writes a packet with the next continuity counter of its PID.
func (a *Annotator) write(p []byte) error {
	p = bytes.Clone(p)
	pid := transport.ParsePacket(p).PID
	p[3] = p[3]&0xf0 | a.cc[pid]
	a.cc[pid] = (a.cc[pid] + 1) & 0xf
	_, err := a.W.Write(p)
	return err
}

// SectionPackets returns a section in packets, without continuity counters.
func SectionPackets(pid uint16, section []byte) (packets [][]byte) {
	start := byte(0x40)
	for rest := append([]byte{0}, section...); len(rest) > 0; start = 0 {
		p := bytes.Repeat([]byte{0xff}, transport.PacketSize)
		copy(p, []byte{transport.SyncByte, start | byte(pid>>8), byte(pid), 0x10})
		rest = rest[copy(p[4:], rest):]
		packets = append(packets, p)
	}
	return packets
}

// Tag returns an ID3v2.4 tag with a text frame (TXXX) of that value, which has less than
// 16,000 bytes.
func Tag(value string) []byte {
	frame := append([]byte("TXXX\x00\x00\x00\x00\x00\x00\x03grapevine\x00"), value...)
	size := func(n int) []byte {
		return []byte{byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)}
	}
	copy(frame[4:], size(len(frame)-10))
	return append(append([]byte{'I', 'D', '3', 4, 0, 0}, size(len(frame))...), frame...)
}

// Section encodes a splice_info_section whose times are those of the command.
func Section(command scte35.SpliceCommand, descriptors ...scte35.SpliceDescriptor) []byte {
	b, err := (&scte35.SpliceInfoSection{
		Tier: 4095, SAPType: scte35.SAPTypeNotSpecified, EncryptedPacket: scte35.EncryptedPacket{CWIndex: 255},
		SpliceCommand: command, SpliceDescriptors: descriptors,
	}).Encode()
	if err != nil {
		panic(err) // a command that cannot be
	}
	return b
}

// Splice returns a section with a splice_insert, out of the network or back in, at pts, or
// at once if that is negative. planned is in ticks; 0 for none.
func Splice(event uint32, out bool, pts int64, planned uint64) []byte {
	insert := &scte35.SpliceInsert{SpliceEventID: event, OutOfNetworkIndicator: out, Program: &scte35.SpliceInsertProgram{}}
	if insert.SpliceImmediateFlag = pts < 0; pts >= 0 {
		at := uint64(pts) & (wrap - 1)
		insert.Program.SpliceTime.PTSTime = &at
	}
	if planned > 0 {
		insert.BreakDuration = &scte35.BreakDuration{Duration: planned}
	}
	return Section(insert)
}
