package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// peersVersion is that of the files with peers.
	peersVersion = 1
	// maxRemembered bounds the peers of a stream, maxRememberedAddrs the addresses of each.
	maxRemembered      = 32
	maxRememberedAddrs = 8
	// rememberFor is how long a peer is remembered after it served.
	rememberFor = 30 * 24 * time.Hour
	// maxPeersFile bounds what is read: more than all that is written.
	maxPeersFile = 256 << 10
	// maxPeersFiles bounds the streams whose peers are remembered: those written last.
	maxPeersFiles = 256
)

// peersFile is what streams/<id>.peers holds.
type peersFile struct {
	Version int              `json:"version"`
	Peers   []rememberedPeer `json:"peers"` // who served last comes first
}

type rememberedPeer struct {
	Addrs  []string  `json:"addrs"` // multiaddrs with /p2p/
	Served time.Time `json:"served"`
}

// memory keeps in the home who served streams.
type memory struct{ home *home }

var _ p2p.Memory = memory{}

func peersName(id stream.ID) string { return filepath.Join("streams", id.String()+".peers") }

// Recall implements p2p.Memory.
func (m memory) Recall(id stream.ID) ([]p2p.ServingPeer, error) {
	f, err := os.Open(m.home.path(peersName(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, &homeError{m.home.dir, err}
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxPeersFile))
	if err != nil {
		return nil, &homeError{m.home.dir, err}
	}
	peers, err := parsePeers(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return slices.DeleteFunc(peers, func(p p2p.ServingPeer) bool { return time.Since(p.Served) > rememberFor }), nil
}

// errPeersVersion says that another version of the program wrote a file with peers.
var errPeersVersion = errors.New("it is of another version")

// parsePeers reads what Remember writes.
func parsePeers(raw []byte) ([]p2p.ServingPeer, error) {
	var file peersFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("it holds no peers: %w", err)
	}
	if file.Version != peersVersion {
		return nil, fmt.Errorf("%w: %d", errPeersVersion, file.Version)
	}
	var out []p2p.ServingPeer
	for _, p := range file.Peers[:min(len(file.Peers), maxRemembered)] {
		var one p2p.ServingPeer
		for _, a := range p.Addrs[:min(len(p.Addrs), maxRememberedAddrs)] {
			info, err := peer.AddrInfoFromString(a)
			if err != nil || one.ID != "" && info.ID != one.ID {
				return nil, fmt.Errorf("it holds no peers: %q is not an address of one", a)
			}
			one.ID, one.Addrs = info.ID, append(one.Addrs, info.Addrs...)
		}
		if one.Served = p.Served; one.ID != "" {
			out = append(out, one)
		}
	}
	return out, nil
}

// Remember implements p2p.Memory. Another process may do the same at the same time; what one
// of them adds is lost then, and added again.
func (m memory) Remember(id stream.ID, peers []p2p.ServingPeer) error {
	known, err := m.Recall(id)
	if errors.Is(err, errPeersVersion) {
		return err // whoever wrote it wants it back
	}
	// A file that cannot be read otherwise is worth nothing.
	for _, p := range known {
		if !slices.ContainsFunc(peers, func(q p2p.ServingPeer) bool { return q.ID == p.ID }) {
			peers = append(peers, p)
		}
	}
	peers = slices.SortedFunc(slices.Values(peers), func(a, b p2p.ServingPeer) int {
		return cmp.Or(b.Served.Compare(a.Served), cmp.Compare(a.ID, b.ID))
	})
	file := peersFile{Version: peersVersion}
	for _, p := range peers[:min(len(peers), maxRemembered)] {
		one := rememberedPeer{Served: p.Served.UTC().Truncate(time.Second)}
		for _, a := range p.Addrs[:min(len(p.Addrs), maxRememberedAddrs)] {
			one.Addrs = append(one.Addrs, a.String()+"/p2p/"+p.ID.String())
		}
		file.Peers = append(file.Peers, one)
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	if err := m.home.replace(append(raw, '\n'), peersName(id)); err != nil {
		return err
	}
	return m.prune()
}

// prune removes the files that were written longest ago, if there are too many.
func (m memory) prune() error {
	names, err := filepath.Glob(m.home.path("streams", "*.peers"))
	if err != nil || len(names) <= maxPeersFiles {
		return err
	}
	written := func(name string) time.Time {
		if info, err := os.Stat(name); err == nil {
			return info.ModTime()
		}
		return time.Time{}
	}
	slices.SortFunc(names, func(a, b string) int { return written(a).Compare(written(b)) })
	for _, name := range names[:len(names)-maxPeersFiles] {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &homeError{m.home.dir, err}
		}
	}
	return nil
}
