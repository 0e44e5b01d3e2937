// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/common/expfmt"
)

// encodings holds the encoded forms of one page, so that a flood of scrapes
// that share a reading shares the encoding too. Requests can't grow it: they
// choose among the formats offered and four escapings, whatever they write.
type encodings struct {
	mu   sync.Mutex
	done map[string][]byte // by format and compression; guarded by mu
}

// encode returns the page in a format, gzipped or not. The result is shared.
func (p *page) encode(format expfmt.Format, zip bool) ([]byte, error) {
	key := string(format) + strconv.FormatBool(zip)
	e := &p.encoded
	e.mu.Lock()
	defer e.mu.Unlock()
	if body, ok := e.done[key]; ok {
		return body, nil
	}
	body, err := p.write(format)
	if err == nil && zip {
		body, err = compress(body)
	}
	if err != nil {
		return nil, err
	}
	if e.done == nil {
		e.done = map[string][]byte{}
	}
	e.done[key] = body
	return body, nil
}

// write writes the page anew. The text format is our own work, the others are
// expfmt's.
func (p *page) write(format expfmt.Format) ([]byte, error) {
	if format.FormatType() == expfmt.TypeTextPlain {
		var body []byte
		for _, f := range p.families {
			body = f.appendText(body)
		}
		return body, nil
	}
	var buf bytes.Buffer
	encoder := expfmt.NewEncoder(&buf, format)
	for _, f := range p.toProto() {
		if err := encoder.Encode(f); err != nil {
			return nil, fmt.Errorf("encoding %s: %w", f.GetName(), err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			return nil, fmt.Errorf("encoding: %w", err)
		}
	}
	return buf.Bytes(), nil
}

func compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
