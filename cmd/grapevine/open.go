package main

import (
	"context"
	"os/exec"
	"runtime"
)

// openBrowser starts the platform's default browser, and does not wait for it to end.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	// Not CommandContext: the browser is the user's, and stays when this process ends.
	cmd := exec.Command(name, args...)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// openPage opens the session's page in a browser if that is asked for.
func (s *session) openPage(asked bool) {
	if !asked {
		return
	}
	if err := openBrowser(s.ctx, s.pageURL()); err != nil {
		s.screen.say("No browser could be started (%v); open the page yourself.", err)
	}
}
