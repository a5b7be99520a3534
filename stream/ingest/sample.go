package ingest

import _ "embed"

// sample is a test card of our own making, with a running clock and a beep each second;
// scripts/sample.sh makes it. It ends where it begins, so that it loops without a seam.
//
//go:embed sample.ts
var sample []byte
