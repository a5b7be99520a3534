package stream

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

func surveyed(t testing.TB, s Survey) (*SignedSurvey, *SurveyKey) {
	t.Helper()
	key := NewSurveyKey(testKey.ID())
	signed, err := testKey.SignSurvey(s, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed, key
}

func testSurvey() Survey {
	return Survey{Epoch: 7, Round: 3, Sampling: MaxSampling, Interval: 10 * time.Second}
}

func testReport() Report {
	return Report{
		Version: "v0.9.1",
		Players: [PlayerKinds]int{PlayerVLC: 2, PlayerPage: 1},
		Playing: []PlayerReport{
			{Kind: PlayerVLC, Delay: 6500 * time.Millisecond, Watched: time.Minute, Stalled: 1200 * time.Millisecond, Stalls: 2},
			{Kind: PlayerPage, Delay: 2100 * time.Millisecond, Watched: 20 * time.Second},
		},
		Window: time.Minute, FromPeers: 1 << 30, FromBroadcaster: 17, FromOrigins: 1, Given: 3 << 30,
		Feeders: 3, Children: 16, Slots: 32,
	}
}

func TestSurveysComeBackAsTheyWere(t *testing.T) {
	signed, _ := surveyed(t, testSurvey())
	got, err := OpenSurvey(testKey.ID(), signed.Bytes())
	if err != nil || !reflect.DeepEqual(got, signed) {
		t.Fatalf("opened %+v, %v; signed %+v", got, err, signed)
	}
	if got.Share() != 1 {
		t.Errorf("a share of %g, want all", got.Share())
	}
}

func TestADelegateMaySurveyForItsTime(t *testing.T) {
	k := delegate(t, 2)
	d := k.Delegation()
	at := func(epoch time.Time) []byte {
		s := testSurvey()
		s.Epoch = uint64(epoch.UnixMilli())
		signed, err := k.SignSurvey(s, NewSurveyKey(k.ID()))
		if err != nil {
			t.Fatal(err)
		}
		return signed.Bytes()
	}
	roles := NewRoles(testKey.ID())
	got, err := roles.OpenSurvey(at(d.NotAfter))
	if err != nil || got.Delegation() == nil || got.Delegation().Delegate != d.Delegate {
		t.Fatalf("opened %+v, %v", got, err)
	}
	if _, err := roles.OpenSurvey(at(d.NotAfter.Add(time.Millisecond))); !errors.Is(err, ErrForgedSurvey) {
		t.Errorf("an epoch after the delegation: %v", err)
	}
	var body, signature []byte
	_ = wire.Fields(got.Bytes(), func(field int, _ uint64, raw []byte) {
		switch field {
		case fieldSignedHeader:
			body = raw
		case fieldSignedSignature:
			signature = raw
		}
	})
	other := testDelegation(t, seededKey(3))
	for name, raw := range map[string][]byte{
		"without its delegation": marshalSigned(body, signature, nil),
		"with another's":         marshalSigned(body, signature, other.raw),
	} {
		if _, err := roles.OpenSurvey(raw); !errors.Is(err, ErrForgedSurvey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := roles.OpenSurvey(marshalSigned(body, signature, []byte{1})); !errors.Is(err, ErrBadSurvey) {
		t.Errorf("with what is no delegation: %v", err)
	}
}

func TestForgedSurveysAreRefused(t *testing.T) {
	signed, _ := surveyed(t, testSurvey())
	more := signed.Survey
	more.Round++
	parts := func() (body, signature []byte) {
		_ = wire.Fields(signed.Bytes(), func(field int, _ uint64, raw []byte) {
			if field == fieldSignedHeader {
				body = raw
			} else {
				signature = raw
			}
		})
		return body, signature
	}
	body, signature := parts()
	for name, c := range map[string]struct {
		id  ID
		raw []byte
		err error
	}{
		"another stream's":   {seededKey(2).ID(), signed.Bytes(), ErrForgedSurvey},
		"a later round":      {testKey.ID(), marshalSigned(more.marshal(), signature, nil), ErrForgedSurvey},
		"no signature":       {testKey.ID(), marshalSigned(body, nil, nil), ErrForgedSurvey},
		"a further field":    {testKey.ID(), append(bytes.Clone(signed.Bytes()), 0x78, 1), ErrBadSurvey},
		"unknown in its mid": {testKey.ID(), marshalSigned(append(bytes.Clone(body), 0x78, 1), signature, nil), ErrBadSurvey},
		"nothing":            {testKey.ID(), nil, ErrBadSurvey},
		"too long":           {testKey.ID(), make([]byte, MaxSurveySize+1), ErrBadSurvey},
	} {
		if _, err := OpenSurvey(c.id, c.raw); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want one that wraps %v", name, err, c.err)
		}
	}
	for name, s := range map[string]Survey{
		"round 0":       {Sampling: 1, Interval: time.Second},
		"nobody":        {Round: 1, Interval: time.Second},
		"more than all": {Round: 1, Sampling: MaxSampling + 1, Interval: time.Second},
		"too often":     {Round: 1, Sampling: 1, Interval: time.Millisecond},
		"too rarely":    {Round: 1, Sampling: 1, Interval: time.Hour},
	} {
		if _, err := testKey.SignSurvey(s, NewSurveyKey(testKey.ID())); !errors.Is(err, ErrBadSurvey) {
			t.Errorf("%s: %v, want one that wraps ErrBadSurvey", name, err)
		}
	}
}

func TestReportsReachTheBroadcasterAlone(t *testing.T) {
	survey, key := surveyed(t, testSurvey())
	who := NewReporter()
	largest := Report{Relay: true, Version: strings.Repeat("v", MaxReportVersion), Window: MaxReportWindow,
		FromPeers: MaxReportedBytes, FromBroadcaster: MaxReportedBytes, FromOrigins: MaxReportedBytes, Given: MaxReportedBytes,
		Feeders: MaxReportedCount, Children: MaxReportedCount, Slots: MaxReportedCount}
	for k := range largest.Players {
		largest.Players[k] = MaxReportedPlayers
	}
	for range MaxPlaying {
		largest.Playing = append(largest.Playing, PlayerReport{Kind: PlayerKinds - 1, Delay: MaxReportedDelay, Watched: MaxReportWindow, Stalled: MaxReportWindow, Stalls: maxReportedStalls})
	}
	size := 0
	for name, r := range map[string]Report{"usual": testReport(), "empty": {Playing: []PlayerReport{}}, "largest": largest} {
		raw, err := who.Seal(survey, r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if size == 0 {
			size = len(raw)
		}
		if len(raw) != size || len(raw) > MaxReportSize || bytes.Contains(raw, who.id[:]) {
			t.Errorf("%s: %d bytes, others have %d: it tells something", name, len(raw), size)
		}
		sealed, err := ParseSealedReport(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if sealed.Epoch != 7 || sealed.Round != 3 {
			t.Errorf("%s: of epoch %d, round %d", name, sealed.Epoch, sealed.Round)
		}
		got, err := key.Open(survey, sealed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got.Playing) == 0 {
			got.Playing = []PlayerReport{}
		}
		if got.Reporter != who.ID() || !reflect.DeepEqual(got.Report, r) {
			t.Errorf("%s: opened %+v, sealed %+v", name, got, r)
		}
		if _, err := NewSurveyKey(testKey.ID()).Open(survey, sealed); !errors.Is(err, ErrForgedReport) {
			t.Errorf("%s, with another key: %v", name, err)
		}
	}
}

func TestAReportAnswersOneSurvey(t *testing.T) {
	survey, key := surveyed(t, testSurvey())
	raw, err := NewReporter().Seal(survey, testReport())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ParseSealedReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	next := testSurvey()
	next.Round++
	later, err := testKey.SignSurvey(next, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Open(later, sealed); !errors.Is(err, ErrForgedReport) {
		t.Errorf("in the next round: %v, want one that wraps ErrForgedReport", err)
	}
	for i := range sealed.sealed {
		broken := &SealedReport{Epoch: 7, Round: 3, sealed: bytes.Clone(sealed.sealed)}
		broken.sealed[i] ^= 1
		if _, err := key.Open(survey, broken); !errors.Is(err, ErrForgedReport) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

// A report in another's name, or that is not written as reports are, is refused though it opens.
func TestForgedReportsAreRefused(t *testing.T) {
	survey, _ := surveyed(t, testSurvey())
	who, other := NewReporter(), NewReporter()
	r := testReport()
	sign := func(by *Reporter, as ReporterID, body []byte) []byte {
		plain := make([]byte, reportPlain)
		signed := marshalSignedReport(body, as, ed25519.Sign(by.private, append(survey.place(reportContext), body...)))
		plain[0], plain[1] = byte(len(signed)>>8), byte(len(signed))
		copy(plain[2:], signed)
		return plain
	}
	if _, err := openReport(survey, sign(who, who.id, r.marshal())); err != nil {
		t.Fatal(err)
	}
	padded := sign(who, who.id, r.marshal())
	padded[reportPlain-1] = 1
	crowd := r
	crowd.Playing = make([]PlayerReport, MaxPlaying+1)
	dense := r
	dense.Players[PlayerVLC] = MaxReportedPlayers + 1
	stuck := r
	stuck.Playing = []PlayerReport{{Watched: time.Second, Stalled: 2 * time.Second}}
	for name, c := range map[string]struct {
		plain []byte
		err   error
	}{
		"in another's name":     {sign(who, other.id, r.marshal()), ErrForgedReport},
		"padded with words":     {padded, ErrBadReport},
		"a further field":       {sign(who, who.id, append(r.marshal(), 0x78, 1)), ErrBadReport},
		"too many players":      {sign(who, who.id, crowd.marshal()), ErrBadReport},
		"more players than fit": {sign(who, who.id, dense.marshal()), ErrBadReport},
		"stalled for longer":    {sign(who, who.id, stuck.marshal()), ErrBadReport},
		"an empty one":          {sign(who, who.id, nil), ErrBadReport},
		"another length":        {make([]byte, reportPlain-1), ErrBadReport},
	} {
		if _, err := openReport(survey, c.plain); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want one that wraps %v", name, err, c.err)
		}
	}
}

// Each round draws its share anew, and whoever was not drawn is refused.
func TestSurveysDrawTheirShare(t *testing.T) {
	const nodes = 4000
	reporters := make([]*Reporter, nodes)
	for i := range reporters {
		reporters[i] = NewReporter()
	}
	var before []int
	for _, share := range []float64{0.5, 0.1, 0.1, 1} {
		s := testSurvey()
		s.Sampling = uint64(share * MaxSampling)
		survey, key := surveyed(t, s)
		var drawn []int
		again := 0
		for i, r := range reporters {
			if r.Drawn(survey) {
				drawn = append(drawn, i)
				continue
			}
			if again++; again > 1 {
				continue
			}
			raw, err := r.Seal(survey, testReport())
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := ParseSealedReport(raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := key.Open(survey, sealed); !errors.Is(err, ErrNotDrawn) {
				t.Errorf("who was not drawn: %v, want one that wraps ErrNotDrawn", err)
			}
		}
		// Six standard deviations.
		if off := math.Abs(float64(len(drawn)) - share*nodes); off > 6*math.Sqrt(share*(1-share)*nodes) {
			t.Errorf("%d of %d drawn with a share of %g", len(drawn), nodes, share)
		}
		if slices.Equal(before, drawn) {
			t.Errorf("the same are drawn again: %v", drawn)
		}
		before = drawn
	}
}

func FuzzOpenSurvey(f *testing.F) {
	signed, _ := surveyed(f, testSurvey())
	f.Add(signed.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := OpenSurvey(testKey.ID(), raw)
		if err == nil && (!bytes.Equal(s.Bytes(), raw) || s.validate() != nil) {
			t.Errorf("%x opens as %+v", raw, s)
		}
		if parsed, err := parseSurvey(raw); err == nil {
			if again, err := parseSurvey(parsed.marshal()); err != nil || *again != *parsed {
				t.Errorf("%+v reads back as %+v, %v", parsed, again, err)
			}
		}
	})
}

func FuzzParseReport(f *testing.F) {
	r := testReport()
	f.Add(r.marshal())
	f.Add((&Report{}).marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseReport(raw)
		if err != nil {
			if !errors.Is(err, ErrBadReport) {
				t.Errorf("%v does not wrap ErrBadReport", err)
			}
			return
		}
		if !bytes.Equal(r.marshal(), raw) {
			t.Errorf("%x reads as %+v, which is written %x", raw, r, r.marshal())
		}
		clamped := r
		clamped.clamp()
		if len(r.Playing) == 0 {
			r.Playing = []PlayerReport{}
		}
		if !reflect.DeepEqual(clamped, r) {
			t.Errorf("%+v is within bounds, and cut to %+v", r, clamped)
		}
	})
}

func FuzzParseSealedReport(f *testing.F) {
	survey, key := surveyed(f, testSurvey())
	raw, err := NewReporter().Seal(survey, testReport())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseSealedReport(raw)
		if err != nil {
			if !errors.Is(err, ErrBadReport) {
				t.Errorf("%v does not wrap ErrBadReport", err)
			}
			return
		}
		if !bytes.Equal(r.marshal(), raw) {
			t.Errorf("%x is written %x", raw, r.marshal())
		}
		_, _ = key.Open(survey, r)
	})
}
