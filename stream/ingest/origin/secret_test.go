package origin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

var testKey = []byte("sixteen bytes ok")

func encrypt(b, key, iv []byte) []byte {
	block, err := aes.NewCipher(key)
	must(err)
	pad := aes.BlockSize - len(b)%aes.BlockSize
	out := append(bytes.Clone(b), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
	return out
}

// TestEncrypted: segments that are encrypted whole are published in the clear; their keys may
// come as late as they.
func TestEncrypted(t *testing.T) {
	const all = "7 8 9 10 11 12 13 14 15 16 17 18 19"
	given := []byte("0123456789abcdef")
	numbered := func(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n)) }
	plain := func(b []byte, _ int) []byte { return b }
	for _, test := range []struct {
		name    string
		tag     func(n int) string
		segment func(b []byte, n int) []byte
		key     func(w http.ResponseWriter, asked int)
		want    string
	}{
		{"vector from the number", func(int) string { return `METHOD=AES-128,URI="key"` },
			func(b []byte, n int) []byte { return encrypt(b, testKey, numbered(n)) }, nil, all},
		{"vector given", func(int) string { return fmt.Sprintf(`METHOD=AES-128,URI="key",IV=0x%X,KEYFORMAT="identity"`, given) },
			func(b []byte, n int) []byte { return encrypt(b, testKey, given) }, nil, all},
		{"in the clear from 12 on", func(n int) string {
			if n < 12 {
				return `METHOD=AES-128,URI="key"`
			}
			return "METHOD=NONE"
		}, func(b []byte, n int) []byte {
			if n < 12 {
				return encrypt(b, testKey, numbered(n))
			}
			return b
		}, nil, all},
		{"another scheme beside", func(int) string {
			return "METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\""
		},
			func(b []byte, n int) []byte { return encrypt(b, testKey, numbered(n)) }, nil, all},
		{"the key is not there at first", func(int) string { return `METHOD=AES-128,URI="key"` },
			func(b []byte, n int) []byte { return encrypt(b, testKey, numbered(n)) },
			func(w http.ResponseWriter, asked int) {
				if asked < 4 {
					http.Error(w, "no", http.StatusServiceUnavailable)
					return
				}
				w.Write(testKey)
			}, all},
		{"the key of 10 is no key", func(n int) string { return fmt.Sprintf(`METHOD=AES-128,URI="key%d"`, n) },
			func(b []byte, n int) []byte { return encrypt(b, testKey, numbered(n)) }, nil, "7 8 9 |11 12 13 14 15 16 17 18 19"},
		{"12 is not encrypted", func(int) string { return `METHOD=AES-128,URI="key"` },
			func(b []byte, n int) []byte {
				if n == 12 {
					return plain(b, n)
				}
				return encrypt(b, testKey, numbered(n))
			}, nil, "7 8 9 10 11 |13 14 15 16 17 18 19"},
		{"12 is cut off", func(int) string { return `METHOD=AES-128,URI="key"` },
			func(b []byte, n int) []byte {
				b = encrypt(b, testKey, numbered(n))
				if n == 12 {
					b = b[:len(b)/2/16*16]
				}
				return b
			}, nil, "7 8 9 10 11 ~12 |13 14 15 16 17 18 19"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				l.ends = 20
				l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
					for n := range 20 {
						at := fmt.Sprintf("#EXTINF:2.000,\nsegment%d.ts", n)
						text = strings.ReplaceAll(text, at, "#EXT-X-KEY:"+test.tag(n)+"\n"+at)
					}
					fmt.Fprint(w, text)
				}
				l.breakSegment = func(w http.ResponseWriter, r *http.Request, n int, b []byte) { w.Write(test.segment(b, n)) }
				asked := 0
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case !strings.HasPrefix(r.URL.Path, "/live/key"):
						l.ServeHTTP(w, r)
					case test.key != nil:
						asked++
						test.key(w, asked)
					case r.URL.Path == "/live/key10":
						io.WriteString(w, "<html>")
					default:
						w.Write(testKey)
					}
				})
				c, o, err := follow(t, h, 3*time.Minute, nil)
				if err != nil {
					t.Error(err)
				}
				if got := c.numbers(t, ""); got != test.want {
					t.Errorf("published %s, want %s", got, test.want)
				}
				t.Logf("%+v", o.Stats())
			})
		})
	}
}

// TestDecrypter: text of any length is decrypted, however its bytes come.
func TestDecrypter(t *testing.T) {
	block, err := aes.NewCipher(testKey)
	must(err)
	iv := make([]byte, aes.BlockSize)
	for n := range 50 {
		text := bytes.Repeat([]byte{byte(n)}, n)
		sealed := encrypt(text, testKey, iv)
		for name, slow := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "with its end": iotest.DataErrReader} {
			open := func(b []byte) ([]byte, error) {
				return io.ReadAll(&decrypter{from: slow(bytes.NewReader(b)), mode: cipher.NewCBCDecrypter(block, iv)})
			}
			if got, err := open(sealed); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d bytes %s: %d, %v", n, name, len(got), err)
			}
			if _, err := open(sealed[:len(sealed)-1]); !errors.Is(err, errKey) {
				t.Errorf("%d bytes %s, cut off: %v", n, name, err)
			}
		}
	}
	if _, err := parseMedia(ended(1, func(int) string { return "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xg\n#EXTINF:2,\ns.ts\n" }), mustURL("http://a.test/")); !errors.Is(err, ErrNoPlaylist) {
		t.Errorf("a vector that is none: %v", err)
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	must(err)
	return u
}
