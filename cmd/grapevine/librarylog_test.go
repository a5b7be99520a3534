package main

import (
	"log/slog"
	"strings"
	"testing"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
)

func TestLibrariesLogAsTheProgramDoes(t *testing.T) {
	var out strings.Builder
	routeLibraries(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	dht := golog.Logger("dht-under-test")
	dht.Warnw("of no concern")
	dht.With("key", "k").Errorw("cannot provide", "peer", "12D3", "tries", 3)
	dht.Errorf("no %s", "room")
	hosts := gologshim.Logger("host-under-test")
	hosts.Warn("of no concern")
	hosts.Error("cannot listen", "port", 4747)
	want := `level=ERROR msg="cannot provide" key=k logger=dht-under-test peer=12D3 tries=3
level=ERROR msg="no room" logger=dht-under-test
level=ERROR msg="cannot listen" logger=host-under-test port=4747
`
	if out.String() != want {
		t.Errorf("logged\n%swant\n%s", out.String(), want)
	}
}
