// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Page is everything that was read of an app, ready to be encoded: families by
// name, the series of each by their labels. It is shared between scrapes and
// never changed.
type Page struct {
	Note     string // a comment for people, in the text format; empty for none
	families []*shownFamily
	noRoom   bool // for the lines of OpenMetrics that tell when series began: the page would be too long
	encoded  encodings

	protoOnce sync.Once
	proto     []*dto.MetricFamily
}

// Proto returns the page as protobuf, made when first asked for: a scrape in
// the text format needs none.
func (p *Page) Proto() []*dto.MetricFamily {
	p.protoOnce.Do(func() {
		p.proto = make([]*dto.MetricFamily, len(p.families))
		for i, f := range p.families {
			p.proto[i] = f.toProto(true)
		}
	})
	return p.proto
}

// encodings holds the encoded forms of one page, so that a flood of scrapes
// that share a reading shares the encoding too. Requests can't grow it: they
// choose among three formats, gzipped or not, whatever they write.
type encodings struct {
	mu   sync.Mutex
	done map[Encoding][]byte // guarded by mu
}

// Encoding is all that the bytes of a page depend on. The escaping that a scraper asks for
// is named in the answer and changes nothing: names on a page need none.
type Encoding struct {
	Format  expfmt.FormatType
	Created bool // whether OpenMetrics has lines that tell when series began
	Gzip    bool
}

// Encode returns the page in an encoding. The result is shared.
func (p *Page) Encode(encoding Encoding) ([]byte, error) {
	encoding.Created = encoding.Created && encoding.Format == expfmt.TypeOpenMetrics && !p.noRoom
	e := &p.encoded
	e.mu.Lock()
	defer e.mu.Unlock()
	if body, ok := e.done[encoding]; ok {
		return body, nil
	}
	var body bytes.Buffer
	var err error
	if encoding.Gzip {
		z := gzipWriters.Get().(*gzip.Writer)
		z.Reset(&body)
		if err = p.write(z, encoding); err == nil {
			err = z.Close()
		}
		z.Reset(nil) // it must not hold the page
		gzipWriters.Put(z)
	} else {
		if encoding.Format == expfmt.TypeTextPlain {
			body.Grow(p.textSize())
		}
		err = p.write(&body, encoding)
	}
	if err != nil {
		return nil, err
	}
	if e.done == nil {
		e.done = map[Encoding][]byte{}
	}
	e.done[encoding] = body.Bytes()
	return body.Bytes(), nil
}

// gzipWriters are kept, since each takes 800 kB to make. Their level is the
// fastest: pages are 10 to 40 % larger than at the default, which takes 7 to 11
// times as long, and longer than all the rest of a scrape.
var gzipWriters = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // there is no such level
	}
	return z
}}

// write writes the page, the text format by itself and the others by expfmt.
func (p *Page) write(w io.Writer, encoding Encoding) error {
	if encoding.Format == expfmt.TypeTextPlain {
		return p.writeText(w)
	}
	// Names on a page need no escaping, so expfmt need not look at each.
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(encoding.Format)+"; escaping=allow-utf-8", expfmt.WithCreatedLines())
	for _, f := range p.families { // one by one: as protobuf they take several times the page
		starts := encoding.Created && f.createdName() != "" || encoding.Format == expfmt.TypeProtoDelim
		family := f.toProto(starts)
		if f.sharesName && encoding.Format == expfmt.TypeOpenMetrics {
			makeUnknown(family)
		}
		if err := encoder.Encode(family); err != nil {
			return fmt.Errorf("encoding %s: %w", f.name, err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			return fmt.Errorf("encoding: %w", err)
		}
	}
	return nil
}

// pieceSize is how much text is written at once: it stays in the processor's
// cache until it is copied or compressed.
const pieceSize = 16 << 10

func (p *Page) writeText(w io.Writer) (err error) {
	buf := make([]byte, 0, pieceSize+pieceSize/4)
	if p.Note != "" {
		buf = append(append(append(buf, "# "...), p.Note...), '\n')
	}
	for _, f := range p.families {
		buf = f.appendHead(buf)
		lines := newLines(f)
		for i := range f.len() {
			if buf = f.appendRow(buf, i, &lines); len(buf) < pieceSize {
				continue
			}
			if _, err = w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err = w.Write(buf)
	return err
}

// textSize estimates how long the page is in the text format.
func (p *Page) textSize() (size int) {
	for _, f := range p.families {
		size += f.textSize()
	}
	return size
}
