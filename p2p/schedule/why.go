//go:build !trace

package schedule

func why(string) {}
