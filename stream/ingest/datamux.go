package ingest

import (
	"context"
	"encoding/binary"

	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// The data streams' PIDs, above the PMT's. There are few kinds, and they need nothing of
	// what came before: all sets have the same.
	firstDataPID = 0x1100
	dataPIDs     = 16 // of each kind

	streamIDPrivate = 0xbd // private_stream_1 (ISO 13818-1, table 2-22)

	tagMetadataPointer = 0x25 // ISO 13818-1, 2.6.58
	tagRegistration    = 0x05
)

// dataMuxer is what the muxer needs for streams that mpegts.Writer cannot write. astits,
// below it, writes their PES packets; their place in the PMT, and sections, are our own.
type dataMuxer struct {
	streams []*dataStream
	changes uint8 // of the set, which the PMT's version counts, too; 0 for never any
	pes     *astits.Muxer
}

// setData begins a new set of data streams.
func (m *muxer) setData(streams []*dataStream, changed bool) {
	m.data.streams = streams
	if changed {
		m.data.changes = max(1, m.data.changes+1)
	}
	m.data.pes = astits.NewMuxer(context.Background(), &m.out)
	seen := make(map[transport.DataKind]uint16)
	for _, s := range streams {
		s.out = firstDataPID + uint16(s.kind)*dataPIDs + seen[s.kind]
		seen[s.kind]++
		// It fails for a PID that it has, which it has not.
		_ = m.data.pes.AddElementaryStream(astits.PMTElementaryStream{ElementaryPID: s.out, StreamType: transport.StreamTypeID3})
		m.data.pes.SetPCRPID(s.out) // it must have one for the tables that nobody asks for
	}
}

// programMap appends the PMT that is in packet, with the data streams in it.
func (m *muxer) programMap(to, packet []byte) []byte {
	section := packet[5 : 5+3+int(packet[6]&0x0f)<<8+int(packet[7])]
	return m.section(to, pidOf(packet), m.data.extend(section))
}

// extend returns a PMT (ISO 13818-1, 2.4.4.9) with the data streams and their descriptors.
func (d *dataMuxer) extend(pmt []byte) []byte {
	const header, crc = 12, 4
	infoEnd := header + int(pmt[10]&0x0f)<<8 + int(pmt[11])
	var info, streams []byte
	registered := false
	for n, s := range d.streams {
		entry := []byte{byte(transport.StreamTypeID3), 0xe0 | byte(s.out>>8), byte(s.out), 0xf0, 0}
		switch s.kind {
		case transport.TimedID3:
			info = append(info, metadataPointer(pmt[3:5], byte(n))...)
			descriptor := metadataDescriptor(byte(n))
			entry[4] = byte(len(descriptor))
			entry = append(entry, descriptor...)
		case transport.Splices:
			if !registered {
				info = binary.BigEndian.AppendUint32(append(info, tagRegistration, 4), transport.RegistrationSplice)
			}
			registered = true
			entry[0] = byte(transport.StreamTypeSplice)
		}
		streams = append(streams, entry...)
	}
	out := append([]byte(nil), pmt[:infoEnd]...)
	out = append(out, info...)
	out = append(out, pmt[infoEnd:len(pmt)-crc]...)
	out = append(out, streams...)
	binary.BigEndian.PutUint16(out[1:], 0xb000|uint16(len(out)+crc-3))
	binary.BigEndian.PutUint16(out[10:], 0xf000|uint16(infoEnd-header+len(info)))
	version := out[5]>>1 + d.changes
	out[5] = out[5]&0xc1 | version&0x1f<<1
	return binary.BigEndian.AppendUint32(out, transport.CRC32(out))
}

// metadataPointer is the program's descriptor that says where ID3 is: in this program, with
// the service ID of its stream's.
func metadataPointer(program []byte, service byte) []byte {
	const here = 0x1f // no locator; MPEG_carriage_flags 0: in the same stream and program
	b := []byte{tagMetadataPointer, 0, 0xff, 0xff}
	b = binary.BigEndian.AppendUint32(b, transport.FormatID3)
	b = binary.BigEndian.AppendUint32(append(b, 0xff), transport.FormatID3)
	b = append(b, service, here, program[0], program[1])
	b[1] = byte(len(b) - 2)
	return b
}

func metadataDescriptor(service byte) []byte {
	// Marshal fails for nothing.
	content, _ := substructs.MetadataDescriptor{
		MetadataApplicationFormat: 0xffff, MetadataApplicationFormatIdentifier: transport.FormatID3,
		MetadataFormat: 0xff, MetadataFormatIdentifier: transport.FormatID3,
		MetadataServiceID: service,
	}.Marshal()
	return append([]byte{substructs.DescriptorTagMetadata, byte(len(content))}, content...)
}

// section appends a section in packets of its own.
func (m *muxer) section(to []byte, pid uint16, section []byte) []byte {
	rest := append([]byte{0}, section...) // pointer_field
	for start := byte(0x40); len(rest) > 0; start = 0 {
		p := [packetSize]byte{syncByte, start | byte(pid>>8), byte(pid), 0x10}
		n := copy(p[4:], rest)
		for i := 4 + n; i < packetSize; i++ {
			p[i] = 0xff
		}
		rest = rest[n:]
		to = m.packet(to, p[:])
	}
	return to
}

// metadata appends a message as one PES packet.
func (m *muxer) metadata(to []byte, msg dataMessage, pts int64) ([]byte, error) {
	m.out.Reset()
	_, err := m.data.pes.WriteData(&astits.MuxerData{
		PID: msg.stream.out,
		PES: &astits.PESData{
			Header: &astits.PESHeader{
				StreamID: streamIDPrivate,
				OptionalHeader: &astits.PESOptionalHeader{
					MarkerBits:             2,
					DataAlignmentIndicator: msg.aligned,
					PTSDTSIndicator:        astits.PTSDTSIndicatorOnlyPTS,
					PTS:                    &astits.ClockReference{Base: pts},
				},
			},
			Data: msg.data,
		},
	})
	if err != nil {
		return to, err
	}
	for b := m.out.Bytes(); len(b) >= packetSize; b = b[packetSize:] {
		if pidOf(b) == msg.stream.out { // else tables of its own
			to = m.packet(to, b[:packetSize])
		}
	}
	return to, nil
}
