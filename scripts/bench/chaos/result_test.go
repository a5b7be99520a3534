package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// result is what one run, or all, measured.
type result struct {
	Seeds      int             `json:"seeds"`
	Minutes    float64         `json:"minutes"` // virtual
	Faults     map[kind]int    `json:"faults"`
	Starts     int             `json:"starts"` // of hosts that were killed or stopped
	Resumes    []time.Duration `json:"resumes"`
	Spoiled    []time.Duration `json:"spoiled"`  // resumes that something else excused meanwhile
	Behind     time.Duration   `json:"behind"`   // most that a viewer was which nothing excused
	Parts      int             `json:"parts"`    // compared
	Segments   int             `json:"segments"` // fetched by HLS and compared
	Heap       float64         `json:"heap"`     // most, of what a run without faults holds at its end
	Goroutines float64         `json:"goroutines"`
	Broken     []string        `json:"broken"`
	Base       *holdings       `json:"base,omitempty"`
}

func (r *result) resumed(after time.Duration, spoiled bool) {
	if spoiled {
		r.Spoiled = append(r.Spoiled, after)
	} else {
		r.Resumes = append(r.Resumes, after)
	}
}

func (r *result) add(o result) {
	r.Seeds++
	r.Minutes += o.Minutes
	if r.Faults == nil {
		r.Faults = make(map[kind]int)
	}
	for k, n := range o.Faults {
		r.Faults[k] += n
	}
	r.Starts += o.Starts
	r.Resumes = append(r.Resumes, o.Resumes...)
	r.Spoiled = append(r.Spoiled, o.Spoiled...)
	r.Behind = max(r.Behind, o.Behind)
	r.Parts += o.Parts
	r.Segments += o.Segments
	r.Heap, r.Goroutines = max(r.Heap, o.Heap), max(r.Goroutines, o.Goroutines)
	r.Broken = append(r.Broken, o.Broken...)
}

func percentile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(share*float64(len(all))))].Round(10 * time.Millisecond)
}

func (r *result) print(to io.Writer) {
	var faults []string
	total := 0
	for _, k := range slices.Sorted(maps.Keys(r.Faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, r.Faults[k]))
		total += r.Faults[k]
	}
	fmt.Fprintf(to, "%d seeds, %.0f virtual minutes, %d faults: %s\n", r.Seeds, r.Minutes, total, strings.Join(faults, ", "))
	show := func(what string, all []time.Duration) {
		fmt.Fprintf(to, "%d %s: p50 %v, p99 %v, at most %v\n", len(all), what, percentile(all, .5), percentile(all, .99), percentile(all, 1))
	}
	show("times from a heal to playback", r.Resumes)
	show("more, with further faults meanwhile", r.Spoiled)
	fmt.Fprintf(to, "what a player could show was at most %v old, where nothing excuses that\n", r.Behind.Round(10*time.Millisecond))
	fmt.Fprintf(to, "%d parts and %d HLS segments compared; heap %.2f, goroutines %.2f of those without faults, at most\n", r.Parts, r.Segments, r.Heap, r.Goroutines)
	fmt.Fprintf(to, "%d times an invariant was broken\n", len(r.Broken))
}
