package ingest

import "net/http"

func whipPage(string) http.Handler { return http.NotFoundHandler() }
