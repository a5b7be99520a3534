package origin

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/grapevine-live/grapevine/stream"
)

// Prefix is what all addresses of the resource begin with.
const Prefix = "/origin/v1/"

// timelinePath is where the headers of the last segments are.
func timelinePath(id stream.ID) string { return Prefix + id.String() + "/timeline" }

// afterPath is where the headers after a part are.
func afterPath(id stream.ID, rendition string, p stream.Position) string {
	return Prefix + id.String() + "/" + rendition + "/after/" + positionName(p)
}

// beforePath is where the headers before a part are.
func beforePath(id stream.ID, rendition string, p stream.Position) string {
	return Prefix + id.String() + "/" + rendition + "/before/" + positionName(p)
}

// heldPath is where it is told which segments are held.
func heldPath(id stream.ID, rendition string) string {
	return Prefix + id.String() + "/" + rendition + "/held"
}

// partPath is where a part's bytes are.
func partPath(id stream.PartID) string {
	return Prefix + id.Stream.String() + "/" + id.Rendition + "/" + positionName(id.Position)
}

func positionName(p stream.Position) string {
	return fmt.Sprintf("%d-%d-%d", p.Epoch, p.Segment, p.Part)
}

// parsePosition reads what positionName writes, and nothing else: a part has one address.
func parsePosition(s string) (p stream.Position, ok bool) {
	fields := strings.Split(s, "-")
	if len(fields) != 3 {
		return p, false
	}
	epoch, err1 := strconv.ParseUint(fields[0], 10, 64)
	segment, err2 := strconv.ParseUint(fields[1], 10, 64)
	part, err3 := strconv.ParseUint(fields[2], 10, 32)
	p = stream.Position{Epoch: epoch, Segment: segment, Part: uint32(part)}
	return p, err1 == nil && err2 == nil && err3 == nil && positionName(p) == s
}
