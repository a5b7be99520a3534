package main

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"

	"filippo.io/age"
)

// counted returns a passphrase, and how often it was asked for.
func counted(passphrase string) (askPassphrase, *int) {
	asked := new(int)
	return func() (string, error) { *asked++; return passphrase, nil }, asked
}

// reopen opens a home as another process does, after this one.
func reopen(t *testing.T, h *home, passphrase string) (*home, *int) {
	t.Helper()
	ask, asked := counted(passphrase)
	again, err := openHome(h.dir, ask)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.close() })
	return again, asked
}

// TestPassphraseComesAndGoes sets a passphrase, another, and none, and reads the keys after each.
func TestPassphraseComesAndGoes(t *testing.T) {
	h := testHome(t)
	stream, err := h.streamKey("")
	if err != nil {
		t.Fatal(err)
	}
	node, err := h.nodeKey("node-2.key")
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, h *home, asked *int, want int) {
		t.Helper()
		s, err := h.streamKey("")
		if err != nil || s.ID() != stream.ID() {
			t.Errorf("%s: another stream key, %v", when, err)
		}
		n, err := h.nodeKey("node-2.key")
		if err != nil || !n.Equals(node) {
			t.Errorf("%s: another node key, %v", when, err)
		}
		if *asked != want {
			t.Errorf("%s: asked %d times, want %d", when, *asked, want)
		}
	}
	sealed := func(name string) bool {
		raw, err := os.ReadFile(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return isSealed(raw)
	}

	if err := h.setPassphrase("first passphrase"); err != nil {
		t.Fatal(err)
	}
	again, asked := reopen(t, h, "first passphrase")
	check("under the first", again, asked, 1)
	if !sealed(streamKeyFile) || !sealed("node-2.key") {
		t.Error("keys are not sealed")
	}
	// What is made later is sealed, too.
	if _, err := again.encoderKey(); err != nil || !sealed(encoderKeyFile) {
		t.Errorf("a new key is not sealed, %v", err)
	}
	wrong, _ := reopen(t, h, "another passphrase")
	if _, err := wrong.streamKey(""); !errors.Is(err, errPassphrase) {
		t.Errorf("with the wrong one: %v", err)
	}
	none, err := openHome(h.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.nodeKey("node-3.key"); !errors.Is(err, errNoPassphrase) {
		t.Errorf("without one: %v", err)
	}
	if err := none.close(); err != nil {
		t.Error(err)
	}

	if err := again.setPassphrase("second passphrase"); err != nil {
		t.Fatal(err)
	}
	old, _ := reopen(t, h, "first passphrase")
	if _, err := old.streamKey(""); !errors.Is(err, errPassphrase) {
		t.Errorf("with the old one: %v", err)
	}
	second, asked := reopen(t, h, "second passphrase")
	check("under the second", second, asked, 1)
	if err := second.removePassphrase(); err != nil {
		t.Fatal(err)
	}
	plain, asked := reopen(t, h, "second passphrase")
	check("without", plain, asked, 0)
	if sealed(streamKeyFile) || sealed("node-2.key") || sealed(encoderKeyFile) {
		t.Error("keys are sealed without a passphrase")
	}
}

// TestPassphraseCutShort reads a home of which only some keys are sealed yet.
func TestPassphraseCutShort(t *testing.T) {
	h := testHome(t)
	key, err := h.streamKey("")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(h.path(streamKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.setPassphrase("some passphrase"); err != nil {
		t.Fatal(err)
	}
	if err := h.replace(raw, streamKeyFile); err != nil { // as if that had not been reached
		t.Fatal(err)
	}
	again, _ := reopen(t, h, "some passphrase")
	if got, err := again.streamKey(""); err != nil || got.ID() != key.ID() {
		t.Errorf("another key, %v", err)
	}
	if err := again.setPassphrase("some passphrase"); err != nil {
		t.Fatal(err)
	}
	if raw, _ := os.ReadFile(h.path(streamKeyFile)); !isSealed(raw) {
		t.Error("the next time does not finish it")
	}
}

// TestForeignSeal names what somebody else has sealed.
func TestForeignSeal(t *testing.T) {
	h := testHome(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := seal([]byte("secret"), id.Recipient())
	if err != nil || bytes.Contains(raw, []byte("secret")) {
		t.Fatalf("%q, %v", raw, err)
	}
	if err := h.create(raw, streamKeyFile); err != nil {
		t.Fatal(err)
	}
	var key *keyError
	if _, err := h.streamKey(""); !errors.Is(err, errForeignSeal) || !errors.As(err, &key) {
		t.Errorf("without a passphrase: %v", err)
	}
	if err := h.setPassphrase("some passphrase"); !errors.Is(err, errForeignSeal) {
		t.Errorf("it is sealed twice: %v", err)
	}
	if got, _ := os.ReadFile(h.path(streamKeyFile)); !bytes.Equal(got, raw) {
		t.Error("it was changed")
	}
}

func TestHomeIsChangedAlone(t *testing.T) {
	h := testHome(t)
	if _, err := openHomeAlone(h.dir, nil); !errors.Is(err, errHomeBusy) {
		t.Errorf("while another uses it: %v", err)
	}
	beside, _ := reopen(t, h, "")
	if err := errors.Join(h.release(), beside.release()); err != nil {
		t.Fatal(err)
	}
	alone, err := openHomeAlone(h.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openHome(h.dir, nil); !errors.Is(err, errHomeBusy) {
		t.Errorf("while it is changed: %v", err)
	}
	if err := alone.close(); err != nil {
		t.Error(err)
	}
}

func TestHomeVersions(t *testing.T) {
	for content, want := range map[string]string{"": "", "1": "", "2\n": "", "3": "newer", "none": "broken", "0": "broken"} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(dir+"/"+versionFile, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, err := openHome(dir, nil)
		_, newer := errors.AsType[*versionError](err)
		if (err != nil) != (want != "") || newer != (want == "newer") {
			t.Errorf("version %q: %v", content, err)
			continue
		}
		if err != nil {
			if raw, _ := os.ReadFile(dir + "/" + versionFile); string(raw) != content {
				t.Errorf("version %q became %q", content, raw)
			}
			continue
		}
		if raw, _ := os.ReadFile(h.path(versionFile)); string(raw) != "2\n" {
			t.Errorf("version %q became %q", content, raw)
		}
		if info, err := os.Stat(dir); runtime.GOOS != "windows" && content != "2\n" && (err != nil || info.Mode().Perm() != dirMode) {
			t.Errorf("version %q: the directory is %v, %v", content, info.Mode(), err)
		}
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeysOfOthersEyes has keys that others could read read by nobody else, and says so.
func TestKeysOfOthersEyes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	h := testHome(t)
	if _, err := h.streamKey(""); err != nil {
		t.Fatal(err)
	}
	h.notes = nil // of the test's directory
	if err := os.Chmod(h.path(streamKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.streamKey(""); err != nil || len(h.notes) != 1 {
		t.Errorf("%v, notes %q", err, h.notes)
	}
	if info, err := os.Stat(h.path(streamKeyFile)); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
