//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// startWithin is how long players may take until all show pictures.
	startWithin = 60 * time.Second
	// goesOn is how long a player must show pictures as it should, at the end.
	goesOn = 10 * time.Second
	// lookEvery is how often all players are asked for their pictures.
	lookEvery = 250 * time.Millisecond
	// fullWindow is how many segments of 2 s a node lists.
	fullWindow = 5
)

// trial is what players go through together: a row of a matrix.
type trial struct {
	name, what string
	run        func(context.Context, *bench) (map[string]verdict, error)
}

// matrix runs one trial after the other, and prints how the players fared, at the end as a
// table. It reports whether all did well.
func (t tools) matrix(ctx context.Context, trials []trial, players []string, legend string) (bool, error) {
	width := 0
	for _, tr := range trials {
		width = max(width, len(tr.name))
	}
	table := [][]string{append([]string{""}, players...)}
	ok := true
	for _, tr := range trials {
		if ctx.Err() != nil {
			return false, nil
		}
		fmt.Printf("%-*s  %s\n", width, tr.name, tr.what)
		b, err := t.bench(tr.name)
		if err != nil {
			return false, err
		}
		verdicts, err := tr.run(ctx, b)
		if err != nil {
			fmt.Print(b.logs())
			fmt.Printf("%-*s  FAIL: %v\n", width, "", err)
			ok = false
		}
		b.cleanUp()
		row := []string{tr.name}
		for _, name := range players {
			v, there := verdicts[name]
			if !there {
				row = append(row, "not tried")
				continue
			}
			ok = ok && v.ok
			fmt.Printf("%-*s  %-9s %s\n", width, "", name, v)
			row = append(row, v.short())
		}
		table = append(table, row)
	}
	fmt.Printf("\n%s\n%s\n", markdown(table), legend)
	return ok, nil
}

// markdown writes rows as a table, the first as its head.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var out strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&out, "| %-*s ", widths[i], cell)
		}
		out.WriteString("|\n")
		if n == 0 {
			out.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return out.String()
}

// awaitWindow waits until a playlist is as long as that of a stream that has run for a
// while: from a shorter one, players begin with less in hand.
func awaitWindow(ctx context.Context, hls string) error {
	media, err := mediaURL(ctx, hls)
	if err != nil {
		return err
	}
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil || len(p.segments) >= fullWindow {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
}
