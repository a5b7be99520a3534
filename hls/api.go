package hls

import (
	_ "embed"
	"net/http"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// The description of the API, OpenAPI 3.1. A test writes it from the types of the answers and
// their comments:
//
//	go test ./hls -run TestAPIIsDescribed -write-api
//
//go:embed openapi.json
var apiDescription []byte

// apiRoute is an address of the API. Not shared with other origins: answers name peers.
type apiRoute struct {
	path    string
	summary string
	answers []apiAnswer
	handle  http.HandlerFunc
}

// apiAnswer is what a route may answer.
type apiAnswer struct {
	code        int
	means       string
	contentType string
	body        any // a value of the type that is marshalled, nil if it is no JSON
}

const jsonType = "application/json"

// apiRoutes returns all there are, with what they answer.
func (s *Server) apiRoutes() []apiRoute {
	noStream := apiAnswer{http.StatusNotFound, "The node has no such stream.", jsonType, apiError{}}
	return []apiRoute{
		{"/api/v1/status", "All figures of the node.", []apiAnswer{{http.StatusOK, "The figures.", jsonType, Figures{}}}, s.serveStatus},
		{"/api/v1/streams", "The figures of the node's streams.", []apiAnswer{{http.StatusOK, "The streams, in the order in which they were joined.", jsonType, apiStreams{}}}, s.serveStreams},
		{"/api/v1/streams/{stream}", "The figures of one stream.", []apiAnswer{{http.StatusOK, "The stream's figures.", jsonType, StreamFigures{}}, noStream}, s.serveStream},
		{"/api/v1/streams/{stream}/qr.svg", "The stream's link as a QR code.", []apiAnswer{{http.StatusOK, "The picture.", qrType, nil}, {http.StatusNotFound, noStream.means, "text/plain", nil}}, s.serveQR},
		{"/api/v1/directory", "Public streams that are on air.", []apiAnswer{{http.StatusOK, "The streams.", jsonType, apiDirectory{}}}, s.serveDirectory},
		{"/api/v1/openapi.json", "This description.", []apiAnswer{{http.StatusOK, "The description.", "application/vnd.oai.openapi+json", nil}}, serveAPIDescription},
		{"/healthz", "Whether the process answers.", []apiAnswer{{http.StatusOK, "It does.", jsonType, health{}}}, s.serveHealth},
		{"/readyz", "Whether the node does what it is for.", []apiAnswer{
			{http.StatusOK, "It does.", jsonType, Readiness{}},
			{http.StatusServiceUnavailable, "It does not, and the checks say why.", jsonType, Readiness{}},
		}, s.serveReadiness},
		{"/metrics", "The figures for Prometheus.", []apiAnswer{{http.StatusOK, "The metrics, in the format that was asked for.", "text/plain", nil}}, serveMetrics(s.cfg.Metrics).ServeHTTP},
	}
}

// apiError says why there is no answer.
type apiError struct {
	Error string `json:"error"` // a sentence
}

// apiStreams is what /api/v1/streams answers.
type apiStreams struct {
	Streams []StreamFigures `json:"streams"` // in the order in which they were joined
}

func (s *Server) serveStreams(w http.ResponseWriter, _ *http.Request) {
	s.serveJSON(w, http.StatusOK, apiStreams{s.Figures(time.Now()).Streams})
}

func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	if id, err := stream.ParseID(r.PathValue("stream")); err == nil {
		for _, st := range s.Figures(time.Now()).Streams {
			if st.ID == id {
				s.serveJSON(w, http.StatusOK, st)
				return
			}
		}
	}
	s.counts.unknown.Add(1)
	s.serveJSON(w, http.StatusNotFound, apiError{"This node has no such stream."})
}

func serveAPIDescription(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json")
	w.Header().Set("Cache-Control", cacheNever)
	_, _ = w.Write(apiDescription) // the client may have gone
}
