package p2p

import (
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
)

func TestTopicsReadBack(t *testing.T) {
	id := stream.ID{1, 2, 3}
	var filter subscriptions
	longest := strings.Repeat("a", stream.MaxRenditionName)
	for _, c := range []struct{ topic, rendition string }{
		{headersTopic(id), ""},
		{chunksTopic(id, "main"), "main"},
		{chunksTopic(id, "audio-de"), "audio-de"},
		{chunksTopic(id, longest), longest},
	} {
		name, rendition, ok := parseTopic(c.topic)
		if !ok || name != topicName(id) || rendition != c.rendition {
			t.Errorf("%s is of %q, %q, %t, want %q, %q", c.topic, name, rendition, ok, topicName(id), c.rendition)
		}
		if !filter.CanSubscribe(c.topic) {
			t.Errorf("peers may not subscribe to %s", c.topic)
		}
	}
}

func TestTopicsAreShort(t *testing.T) {
	id, err := stream.ParseID("rkew7zs5ktvc2yqb3jj5g4hm6dx5ofq5d6wztbhlq64lgwlqd5aq")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := headersTopic(id), "gv1/rkew7zs5ktvc2yqb"; got != want {
		t.Errorf("headers are on %s, want %s", got, want)
	}
	if got, want := chunksTopic(id, "main"), "gv1/rkew7zs5ktvc2yqb/main"; got != want {
		t.Errorf("chunks are on %s, want %s", got, want)
	}
}

func TestParseTopicRefuses(t *testing.T) {
	id := stream.ID{1, 2, 3}
	name, good := topicName(id), chunksTopic(id, "main")
	for what, topic := range map[string]string{
		"nothing":          "",
		"another's":        "other/" + name,
		"another version":  strings.Replace(good, "gv1/", "gv2/", 1),
		"no prefix":        strings.TrimPrefix(good, topicPrefix),
		"something before": "/" + good,
		"no stream":        topicPrefix,
		"no slash":         strings.TrimSuffix(topicPrefix, "/") + name,
		"a short stream":   topicPrefix + name[1:] + "/main",
		"a long stream":    topicPrefix + name + "a/main",
		"a whole stream":   topicPrefix + id.String() + "/main",
		"a stream with 1":  topicPrefix + "1" + name[1:],
		"a stream with 8":  topicPrefix + name[1:] + "8",
		"capital letters":  topicPrefix + strings.ToUpper(name) + "/main",
		"an empty name":    headersTopic(id) + "/",
		"two names":        headersTopic(id) + "/a/b",
		"a capital name":   headersTopic(id) + "/Main",
		"a long name":      headersTopic(id) + "/" + strings.Repeat("a", 33),
		"a line's end":     good + "\n",
	} {
		if _, rendition, ok := parseTopic(topic); ok {
			t.Errorf("%s: %q is the topic of %q", what, topic, rendition)
		}
	}
}
