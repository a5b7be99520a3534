package cue

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/Comcast/scte35-go/pkg/scte35"
)

// Kind says what a cue does.
type Kind int

// Kinds of cues.
const (
	Command Kind = iota // it is for players that know what it means
	Out                 // a break begins
	In                  // a break ends
	Cancel              // an event does not take place
)

// Cue is one thing that a splice_info_section says.
type Cue struct {
	Kind    Kind
	Event   string        // which it is of; empty for none
	Start   time.Time     // when it takes place
	Timed   bool          // it says when; else as it came
	Planned time.Duration // of what begins; 0 if unknown
	Returns bool          // the break ends after that without another cue
	Found   time.Time     // when it came
	Section []byte

	id string // unique to the cue
}

// segmentationOuts are the types of segmentation that begin what is spliced; each one's end
// is the number after it (SCTE 35:2023, table 23).
var segmentationOuts = map[uint32]bool{
	scte35.SegmentationTypeBreakStart:                true,
	scte35.SegmentationTypeProviderAdStart:           true,
	scte35.SegmentationTypeDistributorAdStart:        true,
	scte35.SegmentationTypeProviderPOStart:           true,
	scte35.SegmentationTypeDistributorPOStart:        true,
	scte35.SegmentationTypeProviderOverlayPOStart:    true,
	scte35.SegmentationTypeDistributorOverlayPOStart: true,
	scte35.SegmentationTypeProviderAdBlockStart:      true,
	scte35.SegmentationTypeDistributorAdBlockStart:   true,
}

var errEncrypted = errors.New("a section is encrypted")

// decoder makes cues of one section.
type decoder struct {
	section []byte
	epoch   uint64
	now     int64                     // presentation time at which it came
	time    func(pts int64) time.Time // of presentation times
	adjust  uint64                    // pts_adjustment
	cues    []Cue
}

// decode returns the cues of a section that came at the presentation time now.
func decode(section []byte, epoch uint64, now int64, at func(int64) time.Time) []Cue {
	d := decoder{section: bytes.Clone(section), epoch: epoch, now: now, time: at}
	var s scte35.SpliceInfoSection
	const encrypted = 0x80 // encrypted_packet
	err := errEncrypted
	if section[4]&encrypted == 0 {
		err = s.Decode(section)
	}
	if c, ok := s.SpliceCommand.(*scte35.SpliceInsert); ok && c.SpliceEventCancelIndicator {
		err = nil // scte35-go misses fields that a cancellation does not have
	}
	if err != nil {
		d.command(nil)
		return d.cues
	}
	d.adjust = s.PTSAdjustment
	switch c := s.SpliceCommand.(type) {
	case *scte35.SpliceInsert:
		d.insert(c)
	case *scte35.TimeSignal:
		d.signal(c, s.SpliceDescriptors)
	case *scte35.SpliceNull:
		if len(s.SpliceDescriptors) > 0 {
			d.command(nil)
		}
	case *scte35.BandwidthReservation:
	default:
		d.command(nil)
	}
	return d.cues
}

// add adds a cue of an event, at a time or, if that is nil, at once.
func (d *decoder) add(kind Kind, event string, pts *uint64) *Cue {
	at := d.now
	if pts != nil {
		at = int64((*pts + d.adjust) & (wrap - 1))
	}
	name := event
	if name == "" {
		h := fnv.New32a()
		_, _ = h.Write(d.section) // never fails
		name = fmt.Sprintf("%08x", h.Sum32())
	}
	d.cues = append(d.cues, Cue{
		Kind: kind, Event: event, Start: d.time(at), Timed: pts != nil, Found: d.time(d.now), Section: d.section,
		id: fmt.Sprintf("%s-%d-%d", name, d.epoch, at),
	})
	return &d.cues[len(d.cues)-1]
}

func (d *decoder) command(pts *uint64) { d.add(Command, "", pts) }

func (d *decoder) insert(c *scte35.SpliceInsert) {
	event := fmt.Sprintf("splice-%d", c.SpliceEventID)
	if c.SpliceEventCancelIndicator {
		d.add(Cancel, event, nil)
		return
	}
	var at *uint64
	switch {
	case c.SpliceImmediateFlag:
	case c.Program != nil:
		at = c.Program.SpliceTime.PTSTime
	case len(c.Components) > 0 && c.Components[0].SpliceTime != nil:
		at = c.Components[0].SpliceTime.PTSTime
	}
	if !c.OutOfNetworkIndicator {
		d.add(In, event, at)
		return
	}
	out := d.add(Out, event, at)
	if c.BreakDuration != nil {
		out.Planned, out.Returns = ticks(c.BreakDuration.Duration), c.BreakDuration.AutoReturn
	}
}

// signal makes a cue of each segmentation descriptor, or one if there is none.
func (d *decoder) signal(c *scte35.TimeSignal, descriptors scte35.SpliceDescriptors) {
	at := c.SpliceTime.PTSTime
	for _, descriptor := range descriptors {
		s, ok := descriptor.(*scte35.SegmentationDescriptor)
		switch {
		case !ok:
		case s.SegmentationEventCancelIndicator:
			d.add(Cancel, fmt.Sprintf("segment-%d", s.SegmentationEventID), nil)
		default:
			d.segment(s, at)
		}
	}
	if len(d.cues) == 0 {
		d.command(at)
	}
}

func (d *decoder) segment(s *scte35.SegmentationDescriptor, at *uint64) {
	kind, begins := Command, s.SegmentationTypeID
	switch {
	case segmentationOuts[s.SegmentationTypeID]:
		kind = Out
	case segmentationOuts[s.SegmentationTypeID-1]:
		kind, begins = In, s.SegmentationTypeID-1
	}
	c := d.add(kind, fmt.Sprintf("segment-%d-%d", s.SegmentationEventID, begins), at)
	if s.SegmentationDuration != nil && kind != In {
		c.Planned = ticks(*s.SegmentationDuration)
	}
}

// ticks returns a duration of 90 kHz, of which there are 40 bits.
func ticks(n uint64) time.Duration {
	return time.Duration(n&(1<<40-1)*100/9) * time.Microsecond
}
