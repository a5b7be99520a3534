//go:build trace

package schedule

// Why counts why things happened.
var Why = map[string]int{}

func why(s string) { Why[s]++ }
