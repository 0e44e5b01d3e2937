// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// DefScrapeTimeout is how long a scrape may take that names no timeout.
const DefScrapeTimeout = 5 * time.Second

// maxScrapeTimeout bounds what a request may ask for.
const maxScrapeTimeout = 2 * time.Minute

// writeTimeout bounds how long a reader may take to receive a page: a page that
// is held for a slow one takes memory. A scraper that waits longer for it to be
// read may take as long to receive it.
const writeTimeout = 30 * time.Second

// ownFlushTimeout bounds how long a scrape waits for the answering process's
// own flush.
const ownFlushTimeout = time.Second

// HandlerOpts are the settings of a page. All may be left out.
type HandlerOpts struct {
	// EnableOpenMetrics answers with OpenMetrics 1.0.0 where the scraper asks
	// for it. That renames le="1" to le="1.0", and with it every histogram's
	// series, as it does in promhttp. Defaults to false.
	EnableOpenMetrics bool
	// DisableCompression answers without gzip. Defaults to false.
	DisableCompression bool
	// Timeout bounds a scrape whose request has no header
	// X-Prometheus-Scrape-Timeout-Seconds; with one, that less a tenth does.
	// Defaults to 5 s.
	Timeout time.Duration
}

// Handler serves the metrics of all processes of the app. It answers GET and
// HEAD in the text format 0.0.4, delimited protobuf or, where enabled,
// OpenMetrics, gzipped where the scraper takes it, unless a middleware around it
// compresses, as its Content-Encoding or Vary tells. It first flushes its own
// process, for a second at most, after half a second at most for its gauge
// functions. When Redis cannot be read in time it answers
// 503 and why, never an empty page; the error itself, which may name addresses
// and users, goes to Opts.OnError. A reader has 30 s, or the scrape's timeout if
// that is longer, to receive the page, unless the server has a WriteTimeout.
func (r *Registry) Handler(opts HandlerOpts) http.Handler {
	return &handler{r, opts}
}

type handler struct {
	reg  *Registry
	opts HandlerOpts
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "shoal: the metrics are read with GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	budget := h.budget(req)
	ctx, cancel := context.WithTimeout(req.Context(), budget)
	defer cancel()
	page, err := h.reg.scrape(ctx, budget)
	var body []byte
	around := compressedAround(w.Header())
	format, zip := h.negotiate(req)
	zip = zip && !around
	if err == nil {
		body, err = page.encode(format, zip)
	}
	limitWriting(w, req, max(writeTimeout, budget))
	if err != nil {
		h.fail(w, req, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", string(format))
	if !around {
		header.Set("Content-Length", strconv.Itoa(len(body)))
		if !h.opts.DisableCompression {
			header.Add("Vary", "Accept-Encoding")
		}
	}
	if zip {
		header.Set("Content-Encoding", "gzip")
	}
	if req.Method != http.MethodHead {
		_, _ = w.Write(body) // a scraper that went away is no trouble of ours
	}
}

// fail answers a scrape that got no page.
func (h *handler) fail(w http.ResponseWriter, req *http.Request, err error) {
	h.reg.self.scrapeFailures.Inc()
	var overdue *overdueError
	if req.Context().Err() == nil && !errors.As(err, &overdue) { // else the scraper gave up, and nothing is wrong here
		h.reg.scrapeFails(err)
	}
	text := "shoal: the metrics can't be read: "
	if c := h.reg.conn.Load(); c != nil {
		text += fmt.Sprintf("app %q: ", c.opts.App)
	}
	http.Error(w, text+pageReason(err), http.StatusServiceUnavailable)
}

// limitWriting bounds the time for the answer, unless the server does. Where
// the writer underneath has no deadlines there is no connection to hold.
func limitWriting(w http.ResponseWriter, req *http.Request, d time.Duration) {
	if s, ok := req.Context().Value(http.ServerContextKey).(*http.Server); ok && s.WriteTimeout > 0 {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

// budget is the time that the scraper leaves us.
func (h *handler) budget(req *http.Request) time.Duration {
	if text := req.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"); text != "" {
		if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 && finite(s) {
			return time.Duration(min(s, maxScrapeTimeout.Seconds()) * 0.9 * float64(time.Second))
		}
	}
	if h.opts.Timeout > 0 {
		return h.opts.Timeout
	}
	return DefScrapeTimeout
}

// scrape flushes this process and reads the page. A flush that fails leaves
// this process's last values off; it never fails the scrape.
func (r *Registry) scrape(ctx context.Context, budget time.Duration) (*page, error) {
	c, err := r.connected()
	if err != nil {
		return nil, err
	}
	if c.writer != nil {
		patience := min(ownFlushTimeout, budget/3)
		r.sampled.wait(ctx, patience/2)
		flushCtx, cancel := context.WithTimeout(ctx, patience)
		if err := c.writer.request(flushCtx, true); err != nil {
			r.self.scrapeStale.Inc()
		}
		cancel()
	}
	page, err := c.readConfirmed(ctx)
	if err != nil {
		return nil, fmt.Errorf("app %q: %w", c.opts.App, err)
	}
	r.redisServes("scrape")
	return page, nil
}

// Gather reads the metrics of all processes from Redis, as Handler does, within
// 5 s. It makes the registry a prometheus.Gatherer. The result is shared and
// must not be changed.
func (r *Registry) Gather() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), DefScrapeTimeout)
	defer cancel()
	page, err := r.scrape(ctx, DefScrapeTimeout)
	if err != nil {
		return nil, fmt.Errorf("shoal: gather: %w", err)
	}
	return page.toProto(), nil
}

// negotiate picks the format and says whether to compress.
func (h *handler) negotiate(req *http.Request) (format expfmt.Format, zip bool) {
	if h.opts.EnableOpenMetrics {
		format = expfmt.NegotiateAccept(req.Header, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim, expfmt.FmtText)
	} else {
		format = expfmt.NegotiateAccept(req.Header, expfmt.FmtProtoDelim, expfmt.FmtText)
	}
	return format, !h.opts.DisableCompression && acceptsGzip(req.Header)
}

// compressedAround says whether a middleware around the page compresses what the
// page writes. Such a one has named the encoding before it calls the page, or at
// least that its answer depends on Accept-Encoding: echo's names the encoding
// with the first Write only, and gzips again what is gzipped already.
func compressedAround(header http.Header) bool {
	if header.Get("Content-Encoding") != "" {
		return true
	}
	for name := range strings.SplitSeq(strings.Join(header.Values("Vary"), ","), ",") {
		if strings.EqualFold(strings.TrimSpace(name), "Accept-Encoding") {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip, or else *,
// without a weight of 0.
func acceptsGzip(header http.Header) bool {
	other := false
	for part := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		weight, found := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		accepted := !found || err != nil || q > 0
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip":
			return accepted
		case "*":
			other = accepted
		}
	}
	return other
}
