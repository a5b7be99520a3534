package p2p

import (
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
)

func TestTopicsReadBack(t *testing.T) {
	id := stream.ID{1, 2, 3}
	longest := strings.Repeat("a", stream.MaxRenditionName)
	for _, c := range []struct{ topic, rendition string }{
		{headersTopic(id), ""},
		{chunksTopic(id, "main"), "main"},
		{chunksTopic(id, "audio-de"), "audio-de"},
		{chunksTopic(id, longest), longest},
	} {
		gotID, rendition, ok := parseTopic(c.topic)
		if !ok || gotID != id || rendition != c.rendition {
			t.Errorf("%s is of %v, %q, %t, want %v, %q", c.topic, gotID, rendition, ok, id, c.rendition)
		}
		if !topicPattern.MatchString(c.topic) {
			t.Errorf("peers may not subscribe to %s", c.topic)
		}
	}
}

func TestParseTopicRefuses(t *testing.T) {
	id := stream.ID{1, 2, 3}
	good := chunksTopic(id, "main")
	for name, topic := range map[string]string{
		"nothing":          "",
		"another's":        "/other/1/" + id.String(),
		"another version":  strings.Replace(good, "/1/", "/2/", 1),
		"no slash":         good[1:],
		"something before": "x" + good,
		"no stream":        topicPrefix,
		"a short stream":   topicPrefix + id.String()[1:] + "/main",
		"a long stream":    topicPrefix + id.String() + "a/main",
		"a stream with 1":  topicPrefix + "1" + id.String()[1:],
		"capital letters":  strings.ToUpper(good),
		"an empty name":    headersTopic(id) + "/",
		"two names":        headersTopic(id) + "/a/b",
		"a capital name":   headersTopic(id) + "/Main",
		"a long name":      headersTopic(id) + "/" + strings.Repeat("a", 33),
		"a line's end":     good + "\n",
	} {
		if _, rendition, ok := parseTopic(topic); ok {
			t.Errorf("%s: %q is the topic of %q", name, topic, rendition)
		}
	}
}
