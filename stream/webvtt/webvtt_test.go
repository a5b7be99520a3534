package webvtt

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const ms = time.Millisecond

func TestSegment(t *testing.T) {
	got := Segment([]Cue{
		{10*time.Second + 40*ms, 12 * time.Second, "Tom & <Jerry>"},
		{26*time.Hour + 61*time.Second, 26*time.Hour + 62*time.Second, "two\r\n\r\nlines --> here"},
	})
	want := `WEBVTT
X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000

00:00:10.040 --> 00:00:12.000
Tom &amp; &lt;Jerry&gt;

26:01:01.000 --> 26:01:02.000
two
lines --&gt; here

`
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestShift(t *testing.T) {
	for _, tt := range []struct {
		in   string
		by   int64
		want string
	}{
		{"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n", 90000, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:90000,LOCAL:00:00:00.000\n\n"},
		{"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n", -1, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:8589934591,LOCAL:00:00:00.000\n\n"},
		{"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\nX", -450000, "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:450000\n\nX"},
		{"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nX-TIMESTAMP-MAP=MPEGTS:1\n", 5, "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nX-TIMESTAMP-MAP=MPEGTS:1\n"},
		{"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:9999999999999999999\n\n", 5, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:9999999999999999999\n\n"},
	} {
		in := []byte(tt.in)
		if got := Shift(in, tt.by); string(got) != tt.want || string(in) != tt.in {
			t.Errorf("%q by %d: %q, want %q", tt.in, tt.by, got, tt.want)
		}
	}
}

func TestReader(t *testing.T) {
	in := "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\nthere\r\n\r\n" +
		"2\n00:00:03,000 --> 00:00:03,000\nno time\n\n" +
		"NOTE nothing\n\n" +
		"\n\n100:59:59.999 --> 101:00:00.000 align:start\nlate\n\n" +
		"4\n00:00:05,000 --> 00:00:06,000\n\n" +
		"5\n00:00:07,000 --> 00:00:08,000\nthe end"
	want := []Cue{
		{time.Second, 2500 * ms, "Hello\nthere"},
		{100*time.Hour + 59*time.Minute + 59*time.Second + 999*ms, 101 * time.Hour, "late"},
		{7 * time.Second, 8 * time.Second, "the end"},
	}
	r := NewReader(iotest.OneByteReader(strings.NewReader(in)))
	var got []Cue
	for {
		c, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	if !reflect.DeepEqual(got, want) || r.Skipped != 3 {
		t.Errorf("%+v, %d skipped; want %+v", got, r.Skipped, want)
	}
}

// A cue is there as soon as its last byte is.
func TestReaderDoesNotWait(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	go func() { _, _ = io.WriteString(out, "1\n00:00:01,000 --> 00:00:02,000\nnow\n\n") }()
	if c, err := NewReader(in).Read(); err != nil || c.Text != "now" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestReaderIsBounded(t *testing.T) {
	if _, err := NewReader(strings.NewReader(strings.Repeat("x", maxLine+1))).Read(); err == nil || err == io.EOF {
		t.Errorf("a line without end: %v", err)
	}
	c, err := NewReader(strings.NewReader("00:00:01,000 --> 00:00:02,000\n" + strings.Repeat(strings.Repeat("x", 999)+"\n", 100))).Read()
	if err != nil || len(c.Text) > maxText {
		t.Errorf("a cue of %d bytes, %v", len(c.Text), err)
	}
}

// FuzzReader checks that what is read can be written, and is read again as it was.
func FuzzReader(f *testing.F) {
	f.Add("1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\n\n2\n00:00:03.000 --> 00:00:04.000\n&\n")
	f.Add("\ufeff00:00:01,000 --> 00:00:02,000\r\n\rx\r\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r := NewReader(strings.NewReader(in))
		var cues []Cue
		for len(cues) < 100 {
			c, err := r.Read()
			if err != nil {
				break
			}
			cues = append(cues, c)
		}
		out := Segment(cues)
		if n := bytes.Count(out, []byte(" --> ")); n != len(cues) {
			t.Errorf("%d cues of %d in\n%s", n, len(cues), out)
		}
		if !bytes.Equal(Shift(Shift(out, 7), -7), out) {
			t.Errorf("shifted back it is another")
		}
	})
}
