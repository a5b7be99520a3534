package transport

import (
	"encoding/binary"

	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// DataKind is what an elementary stream carries that is neither video nor audio.
type DataKind int

// Kinds of data.
const (
	NoData   DataKind = iota
	TimedID3          // ID3 tags in PES packets (Apple, "Timed Metadata for HTTP Live Streaming")
	Splices           // splice_info_sections (SCTE 35:2023, section 8)
)

func (k DataKind) String() string {
	return [...]string{"no data", "timed ID3", "SCTE-35"}[k]
}

// Stream types, and what identifies them in descriptors.
const (
	StreamTypeID3    astits.StreamType = 0x15 // metadata in PES packets (ISO 13818-1, table 2-34)
	StreamTypeSplice astits.StreamType = 0x86 // SCTE 35:2023, 8.1; without its registration another's

	FormatID3          = 'I'<<24 | 'D'<<16 | '3'<<8 | ' '
	RegistrationSplice = 'C'<<24 | 'U'<<16 | 'E'<<8 | 'I'
)

// DataOf returns what a stream of a PMT carries, or NoData.
func DataOf(pmt *astits.PMTData, es *astits.PMTElementaryStream) DataKind {
	switch es.StreamType {
	case StreamTypeID3:
		if hasID3Format(es.ElementaryStreamDescriptors) {
			return TimedID3
		}
	case StreamTypeSplice:
		// In the program's descriptors; some encoders put it into the stream's.
		if isRegisteredSplice(pmt.ProgramDescriptors) || isRegisteredSplice(es.ElementaryStreamDescriptors) {
			return Splices
		}
	}
	return NoData
}

func hasID3Format(descriptors []*astits.Descriptor) bool {
	for _, d := range descriptors {
		var m substructs.MetadataDescriptor
		if d.Tag == substructs.DescriptorTagMetadata && d.Unknown != nil && m.Unmarshal(d.Unknown.Content) == nil &&
			m.MetadataFormat == 0xff && m.MetadataFormatIdentifier == FormatID3 {
			return true
		}
	}
	return false
}

func isRegisteredSplice(descriptors []*astits.Descriptor) bool {
	for _, d := range descriptors {
		if d.Registration != nil && d.Registration.FormatIdentifier == RegistrationSplice {
			return true
		}
	}
	return false
}

const (
	// spliceTable is the table_id of a splice_info_section, which has spliceLeast bytes at
	// least (SCTE 35:2023, table 5).
	spliceTable = 0xfc
	spliceLeast = 20
)

// IsSplice reports whether a section is a splice_info_section.
func IsSplice(section []byte) bool {
	return len(section) >= spliceLeast && section[0] == spliceTable && len(section) == sectionSize(section)
}

// ShiftSplice adds ticks of 90 kHz to all times of a splice_info_section: to its
// pts_adjustment, which is in the clear even if the times themselves are encrypted (SCTE
// 35:2023, 9.6.1).
func ShiftSplice(section []byte, by int64) {
	const bits = 1<<33 - 1
	field := section[4:9] // encrypted_packet, encryption_algorithm, pts_adjustment
	old := int64(field[0]&1)<<32 | int64(binary.BigEndian.Uint32(field[1:]))
	now := (old + by) & bits
	field[0] = field[0]&^1 | byte(now>>32)
	binary.BigEndian.PutUint32(field[1:], uint32(now))
	at := len(section) - 4
	binary.BigEndian.PutUint32(section[at:], CRC32(section[:at]))
}
