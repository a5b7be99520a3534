package ingest

// besideSound is a [Sound] that is put together with the pictures of [Fragments]. Times are
// the container's.
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
	p := &b.place
	if f.fresh {
		p.lead, p.whole = fr.pts-fr.dts, true
		if step := fr.pts - p.at; !p.known || step < -maxStepBack || step > maxStepBack {
			p.at, p.heard, p.known = fr.pts, fr.pts, true
		}
		p.heard = max(p.heard, fr.pts)
		if err := f.follow(fr.end + p.lead); err != nil {
			return out, err
		}
	}
	until := fr.dts + p.lead
	p.ends = fr.end + p.lead
	if f.fresh || until-p.at < maxSoundTime {
		return out, nil
	}
	return f.soundUntil(out, until)
}

// follow begins with what the sound is from now on.
func (f *Fragments) follow(until int64) error {
	b := f.beside
	now := b.listener.formatAt(b.place.at, max(until, b.place.at+maxSoundTime))
	if now == nil || now == b.format {
		return nil
	}
	b.format, b.track = now, b.listener.sound.newTrack(now)
	return f.start()
}

// soundUntil appends the sound that is heard before a time.
func (f *Fragments) soundUntil(out []byte, until int64) ([]byte, error) {
	b := f.beside
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
		pts := (from + frames[0].pts + FragmentsShift) & (wrap - 1)
		var err error
		if out, err = f.mux.audio(out, b.track, pts, data); err != nil {
			return out, err
		}
		frames = frames[n:]
	}
	p.note(until)
	return out, nil
}

// note notes whether sound is missing before a time.
func (p *besidePlace) note(at int64) {
	if at-p.heard > maxSilence {
		p.whole = false
	}
}
