// Package origin publishes an HLS stream that is there already: it follows the playlists
// and hands the segments on as [stream.Part]s.
package origin
