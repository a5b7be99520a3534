package record

import (
	"testing"
	"time"
)

// TestJoinWithoutFrames begins with a segment in which no frame tells its time.
func TestJoinWithoutFrames(t *testing.T) {
	whole := pictures(t, largeSPS)[0].Data
	tables := whole[:2*188]
	var j joiner
	start := time.Unix(0, 0)
	for i, data := range [][]byte{tables, whole} {
		out, err := j.add(shot{data: data, duration: segmentLength, programTime: start.Add(time.Duration(i) * segmentLength)})
		if err != nil || len(out) != len(data) {
			t.Errorf("segment %d: %d bytes, %v", i, len(out), err)
		}
	}
	if !j.begun || j.first != 900000 {
		t.Errorf("the first frame is at %d", j.first)
	}
}
