package transcode

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// standIn is how tests have their own program run in ffmpeg's place.
const standIn = "TRANSCODE_TEST_STAND_IN"

func TestMain(m *testing.M) {
	if how := os.Getenv(standIn); how != "" {
		os.Exit(actAsFFmpeg(how, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// actAsFFmpeg does what ffmpeg is asked to, but for encoding: it copies. how is "copy",
// "old", "broken", "die", or "die:FILE" to die once, while there is FILE; or else what
// ffprobe answers.
func actAsFFmpeg(how string, args []string) int {
	switch {
	case slices.Contains(args, "-version"):
		version := "6.1.1-3ubuntu5"
		if how == "old" {
			version = "4.4.2-0ubuntu0.22.04.1"
		}
		fmt.Printf("ffmpeg version %s Copyright (c) 2000-2023 the FFmpeg developers\n", version)
		return 0
	case slices.Contains(args, "-encoders"):
		fmt.Println(" V....D libx264              libx264 H.264 (codec h264)\n V....D h264_nvenc           NVIDIA NVENC H.264 encoder (codec h264)")
		return 0
	case slices.Contains(args, "lavfi"):
		if how == "broken" || slices.Contains(args, "h264_nvenc") {
			fmt.Fprintln(os.Stderr, "no such device")
			return 1
		}
		return 0
	}
	if slices.Contains(args, "-show_streams") {
		fmt.Println(how)
		return 0
	}
	if file := strings.TrimPrefix(args[slices.Index(args, "-i")+1], "file:"); file != "pipe:0" {
		return play(file)
	}
	var outs []io.Writer
	for n := range strings.Count(args[len(args)-1], "pipe:") {
		outs = append(outs, os.NewFile(uintptr(firstPipe+n), "output"))
	}
	if file, ok := strings.CutPrefix(how, "die"); ok {
		if file == "" || os.Remove(file[1:]) == nil {
			_, _ = io.CopyN(io.MultiWriter(outs...), os.Stdin, 200_000)
			fmt.Fprintln(os.Stderr, "a fault of its own")
			return 1
		}
	}
	if _, err := io.Copy(io.MultiWriter(outs...), os.Stdin); err != nil {
		return 1
	}
	return 0
}

// play writes a file to standard output, and fails unless it is there.
func play(file string) int {
	f, err := os.Open(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no such file")
		return 1
	}
	defer f.Close()
	if _, err := io.Copy(os.Stdout, f); err != nil {
		return 1
	}
	return 0
}
