// Package transport reads the layers of an MPEG transport stream (ISO 13818-1) that
// astits cannot read without loss or delay: packets, the headers of PES packets, and
// tables, of which astits parses the content; private sections, and which streams carry
// timed metadata and cues. It does no I/O. stream/ingest reads what
// encoders send with it, and hls/fmp4 what ingest wrote.
package transport
