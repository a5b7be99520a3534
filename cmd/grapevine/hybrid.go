package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/origin"
)

const originName = "origin"

// originFlag names HTTP origins.
func originFlag(usage string) cli.Flag {
	return &cli.StringSliceFlag{Name: originName, Usage: usage + "; may be given more than once"}
}

// viewerOriginFlag is that of who fetches from them.
func viewerOriginFlag() cli.Flag {
	return originFlag("fetch from the gateway at `URL` what peers do not bring in time, besides those that the link names")
}

// readOrigins reads the origins of the command line.
func readOrigins(c *cli.Context) ([]string, error) {
	given := c.StringSlice(originName)
	if len(given) > stream.MaxOrigins {
		return nil, &usageError{fmt.Sprintf("There are %d --origin, more than the %d that may be named.", len(given), stream.MaxOrigins), "leave some out"}
	}
	var urls []string
	for _, s := range given {
		u, err := stream.ParseOrigin(s)
		if err != nil {
			return nil, badFlag(originName, s, "an origin is a gateway's address without a path, such as https://live.example.org or http://192.0.2.1:8080")
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// connectOrigin is what a node reaches origins by.
func connectOrigin(address string, dial p2p.Dial) (p2p.Origin, error) {
	return origin.NewClient(address, origin.Transport(dial))
}

// rateDown is what comes to a node now, from peers and origins, in bits per second.
func rateDown(node p2p.Stats, all ...p2p.SwarmStats) float64 {
	rate := node.RateIn
	for _, st := range all {
		rate += st.OriginRate
	}
	return rate
}

// offloadFact says how much came from peers, "" if no origin was needed yet.
func offloadFact(all ...p2p.SwarmStats) string {
	var sum p2p.SwarmStats
	for _, st := range all {
		sum.BytesReceived += st.BytesReceived
		sum.OriginBytes += st.OriginBytes
	}
	if sum.OriginBytes == 0 {
		return ""
	}
	return fmt.Sprintf("%d%% from peers", int(100*sum.Offload()))
}
