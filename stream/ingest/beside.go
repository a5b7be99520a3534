package ingest

// besideSound is a [Sound] that is put together with the pictures of [Fragments] or [Pictures].
// Times are the container's.
type besideSound struct {
	listener *listener
	format   *soundFormat // that track has
	track    *track       // nil until any sound came

	place   besidePlace
	before  besidePlace // when the segment began
	heard   listener    // likewise
	missing uint64      // segments that have not all of their sound
}

// besidePlace is how far a segment is.
type besidePlace struct {
	at    int64 // until when sound was asked for
	heard int64 // until when there was some
	ends  int64 // when the pictures so far end
	lead  int64 // by which pictures are shown later than they are decoded
	known bool  // at is set
	whole bool  // no sound is missing so far
}

// SetSound has pictures without sound get it from s; nil ends that. It must be called before
// the first Init, and with nil at last.
func (f *Fragments) SetSound(s *Sound) {
	if f.beside != nil {
		f.beside.listener.close()
		f.beside = nil
	}
	if s != nil {
		f.beside = &besideSound{listener: s.listen()}
	}
}

// MissingSound returns how many segments have not all of the sound that they should have.
func (f *Fragments) MissingSound() uint64 {
	if f.beside == nil {
		return 0
	}
	return f.beside.missing
}

// silent reports whether there are pictures whose sound comes from beside.
func (f *Fragments) silent() bool {
	return f.beside != nil && len(f.tracks) == 1 && f.tracks[0].isVideo()
}

func (b *besideSound) begin() {
	b.before = b.place
	b.heard = *b.listener
}

func (b *besideSound) undo() {
	b.place = b.before
	b.listener.restore(b.heard)
}

// soundBefore appends the sound that comes before a picture.
func (f *Fragments) soundBefore(out []byte, fr *fragmentFrame) ([]byte, error) {
	if !f.silent() {
		return out, nil
	}
	b := f.beside
	if f.fresh {
		b.open(fr.pts, fr.dts)
		if b.follow(fr.end + b.place.lead) {
			if err := f.start(); err != nil {
				return out, err
			}
		}
	}
	b.place.ends = fr.end + b.place.lead
	if f.fresh || !b.due(fr.dts) {
		return out, nil
	}
	return b.until(out, fr.dts+b.place.lead, f.writeSound)
}

// writeSound appends frames of sound that are heard at a time.
func (f *Fragments) writeSound(out []byte, pts int64, data []byte) ([]byte, error) {
	return f.mux.audio(out, f.beside.track, (pts+FragmentsShift)&(wrap-1), data)
}

// open begins a segment with the picture that is shown at pts and decoded at dts.
func (b *besideSound) open(pts, dts int64) {
	p := &b.place
	p.lead, p.whole = pts-dts, true
	if step := pts - p.at; !p.known || step < -maxStepBack || step > maxStepBack {
		p.at, p.heard, p.known = pts, pts, true
	}
	p.heard = max(p.heard, pts)
}

// follow begins with what the sound is before a time, and reports whether that is another
// than before.
func (b *besideSound) follow(until int64) bool {
	now := b.listener.formatAt(b.place.at, max(until, b.place.at+maxSoundTime))
	if now == nil || now == b.format {
		return false
	}
	b.format, b.track = now, b.listener.sound.newTrack(now)
	return true
}

// due reports whether sound comes before the picture that is decoded at dts.
func (b *besideSound) due(dts int64) bool { return dts+b.place.lead-b.place.at >= maxSoundTime }

// until appends the sound that is heard before a time, as write does for frames that share a
// packet.
func (b *besideSound) until(out []byte, until int64, write func(out []byte, pts int64, data []byte) ([]byte, error)) ([]byte, error) {
	p := &b.place
	from := p.at
	if until <= from {
		return out, nil
	}
	frames := b.listener.hear(from, until)
	p.at = until
	for len(frames) > 0 {
		if frames[0].format != b.format {
			frames = frames[1:] // what it is now can change with a segment only
			continue
		}
		p.note(from + frames[0].pts)
		n, data := 1, append([]byte(nil), frames[0].data...)
		for n < len(frames) && frames[n].format == b.format && len(data)+len(frames[n].data) <= maxSoundPES && frames[n].pts-frames[0].pts < maxSoundTime {
			data = append(data, frames[n].data...)
			n++
		}
		p.heard = from + frames[n-1].end
		var err error
		if out, err = write(out, from+frames[0].pts, data); err != nil {
			return out, err
		}
		frames = frames[n:]
	}
	p.note(until)
	return out, nil
}

// finish appends what of the sound is left before the pictures end, and counts the segment if
// some of it is missing.
func (b *besideSound) finish(write func(out []byte, pts int64, data []byte) ([]byte, error)) ([]byte, error) {
	out, err := b.until(nil, b.place.ends, write)
	if !b.place.whole {
		b.missing++
	}
	return out, err
}

// note notes whether sound is missing before a time.
func (p *besidePlace) note(at int64) {
	if at-p.heard > maxSilence {
		p.whole = false
	}
}
