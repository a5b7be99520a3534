package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
)

// publicFlags returns the flags of a broadcaster whose stream is in the directory.
func publicFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "public", Usage: "list the stream, with this node's addresses, in the directory that everybody sees"},
		&cli.StringFlag{Name: "title", Usage: "list it with `TEXT` as its title; of a private stream, whose viewers see it"},
		&cli.StringFlag{Name: "description", Usage: "list it with `TEXT` below the title"},
	}
}

// publicEntry is what a stream has in the directory.
type publicEntry struct {
	public             bool
	title, description string
}

func readEntry(c *cli.Context) publicEntry {
	return publicEntry{c.Bool("public"), strings.TrimSpace(c.String("title")), strings.TrimSpace(c.String("description"))}
}

// check refuses texts that no entry could have.
func (e publicEntry) check(private bool) error {
	switch {
	case private && e.description != "":
		return &usageError{"--description is for the directory, in which no private stream is.", "leave it out; a private stream may have a --title, which its viewers see"}
	case private && (len(e.title) > stream.MaxTitle || strings.ContainsFunc(e.title, func(r rune) bool { return !unicode.IsPrint(r) })):
		return badFlag("title", e.title, fmt.Sprintf("a title is one line of at most %d bytes", stream.MaxTitle))
	case private:
		return nil
	case !e.public && e.title+e.description != "":
		return &usageError{"--title and --description are for the directory.", "add --public to list the stream there, or leave them out"}
	case !e.public:
		return nil
	case e.title == "":
		return &usageError{"--public needs a --title.", "name the stream as others shall find it: --title 'Keynote, live from the hall'"}
	}
	_, err := stream.NewKey().SignEntry(stream.Entry{Title: e.title, Description: e.description, Issued: time.Now()})
	if err != nil {
		return &usageError{capital(reason(err, stream.ErrBadEntry)) + ".", "shorten it, and leave line breaks out"}
	}
	return nil
}

// announce keeps the stream in the directory until the session ends, and closes the channel once
// it is out of it.
func (e publicEntry) announce(s *session, key stream.Key) <-chan struct{} {
	done := make(chan struct{})
	if !e.public {
		close(done)
		return done
	}
	s.running.Go(func() {
		defer close(done)
		if err := s.node.Announce(s.ctx, key, e.title, e.description); err != nil {
			s.fail(err)
		}
	})
	return done
}
