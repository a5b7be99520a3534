// Package record writes the streams that a node carries to disk as they go.
package record
