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
	"github.com/shoal-metrics/shoal/core/internal/page"
)

// DefScrapeTimeout is how long a scrape may take that names no timeout.
const DefScrapeTimeout = 5 * time.Second

// minScrapeTimeout and maxScrapeTimeout bound what a request may ask for. In less than
// minScrapeTimeout even a healthy Redis may not answer: a page takes a flush and two
// round trips.
const (
	minScrapeTimeout = 250 * time.Millisecond
	maxScrapeTimeout = 2 * time.Minute
)

// writeTimeout bounds how long a client may take to receive an answer, and to send the
// body of its request: a page takes memory until it is sent. If the scrape's timeout is
// longer, that is the bound.
const writeTimeout = 30 * time.Second

// maxAccept bounds the headers Accept and Accept-Encoding, in bytes: longer ones count
// as absent. Prometheus sends 300. Parsing the megabyte that net/http lets through would
// take many times that memory.
const maxAccept = 4 << 10

// ownFlushTimeout bounds how long a scrape waits for the answering process's
// own flush.
const ownFlushTimeout = time.Second

// Handler serves the metrics of all processes of the app. It answers GET and
// HEAD in the text format 0.0.4, delimited protobuf or, where enabled, OpenMetrics.
// It compresses with gzip if the scraper accepts that, unless a middleware around it
// has set Content-Encoding, or Vary to Accept-Encoding: that one compresses.
//
// It first waits for the gauge functions, counter functions and sources of its own process,
// for half a second at most, and flushes that process, for a second at most. When Redis cannot
// be read in time it answers 503 and why, never an empty page; the error itself, which may
// name addresses and users, goes to Opts.OnError.
//
// A client has 30 s, or the scrape's timeout if that is longer, to receive the answer
// and to send the rest of its request, unless the server has a WriteTimeout or a
// ReadTimeout. When more than 256 MiB of pages are on their way to clients, those that
// receive the oldest pages are cut off. Over HTTP/1 a request with a body is answered
// at once, and its connection closed after that.
func (r *Registry) Handler(opts HandlerOpts) http.Handler {
	opts.SharedInstance = cutText(strings.ToValidUTF8(opts.SharedInstance, "\uFFFD"), maxLabelValue)
	return &handler{r, opts}
}

type handler struct {
	reg  *Registry
	opts HandlerOpts
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		limitClient(w, req, writeTimeout)
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "shoal: the metrics are read with GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	asked := page.Request{Own: h.opts.EachProcess, Instance: h.opts.SharedInstance, Came: time.Now()}
	budget, cause := h.budget(req)
	ctx, cancel := context.WithTimeoutCause(req.Context(), budget, cause)
	defer cancel()
	p, err := h.reg.scrape(ctx, asked, budget, cause)
	var body []byte
	around := compressedAround(w.Header())
	format, zip := h.negotiate(req)
	zip = zip && !around
	if err == nil {
		body, err = p.Encode(page.Encoding{Format: format.FormatType(), Created: h.opts.EnableOpenMetricsTextCreatedSamples, Gzip: zip})
	}
	limit := limitClient(w, req, max(writeTimeout, budget))
	if err != nil {
		h.fail(ctx, w, req, err)
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
		h.reg.send(w, req, body, limit)
	}
}

// fail answers a scrape that got no page. One that a client cut short, by going
// away or by asking for less time than it would have got, is no failure of ours; the
// reader counts it if the reading that it waited for turns out to be one.
func (h *handler) fail(ctx context.Context, w http.ResponseWriter, req *http.Request, err error) {
	var overdue *page.OverdueError
	switch {
	case errors.Is(req.Context().Err(), context.Canceled), errors.Is(context.Cause(ctx), page.ErrHasty):
	case errors.As(err, &overdue): // reported when the reading has ended
		h.reg.self.scrapeFailures.Inc()
	default:
		h.reg.self.scrapeFailures.Inc()
		h.reg.scrapeFails(err)
	}
	text := "shoal: the metrics can't be read: "
	if c := h.reg.conn.Load(); c != nil {
		text += fmt.Sprintf("app %q: ", c.opts.App)
	}
	http.Error(w, text+pageReason(err), http.StatusServiceUnavailable)
}

// limitClient bounds how long a client may take for the answer and for the rest of
// its request, unless the server does, and returns what holds for the answer. Where
// the writer underneath has no deadlines there is no connection to hold. Before each
// further request on a connection net/http sets its deadlines anew.
func limitClient(w http.ResponseWriter, req *http.Request, d time.Duration) time.Duration {
	if req.ProtoMajor == 1 && req.ContentLength != 0 {
		// To keep the connection net/http would first read up to 256 KiB of the
		// body, within our Write, while we hold the page.
		w.Header().Set("Connection", "close")
	}
	server, _ := req.Context().Value(http.ServerContextKey).(*http.Server)
	control, deadline := http.NewResponseController(w), time.Now().Add(d)
	if server == nil || server.ReadTimeout <= 0 {
		_ = control.SetReadDeadline(deadline)
	}
	if server != nil && server.WriteTimeout > 0 {
		return server.WriteTimeout
	}
	_ = control.SetWriteDeadline(deadline)
	return d
}

// budget is the time that the scrape may take. cause is page.ErrHasty if the client asked
// for less than the handler would have given it.
func (h *handler) budget(req *http.Request) (budget time.Duration, cause error) {
	own := h.opts.Timeout
	if own <= 0 {
		own = DefScrapeTimeout
	}
	asked, err := strconv.ParseFloat(req.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(asked > 0) || !finite(asked) {
		return own, nil
	}
	if asked < own.Seconds() {
		cause = page.ErrHasty
	}
	asked = min(asked, maxScrapeTimeout.Seconds())
	return max(time.Duration(asked*0.9*float64(time.Second)), minScrapeTimeout), cause
}

// scrape flushes this process and reads the page. If the flush fails, the page lacks
// this process's last values, but the scrape goes on. The failure is counted unless
// the client left no time for it, when cause is page.ErrHasty, or went away.
func (r *Registry) scrape(ctx context.Context, asked page.Request, budget time.Duration, cause error) (*page.Page, error) {
	c, err := r.connected()
	if err != nil {
		return nil, err
	}
	if c.writer == nil {
		asked = page.Request{}
	} else {
		if asked.Own {
			c.writer.ownPageAsked()
		}
		patience := budget / 3
		if patience >= ownFlushTimeout {
			patience, cause = ownFlushTimeout, nil
		}
		r.sampled.wait(ctx, patience/2, everyProvider)
		flushCtx, cancel := context.WithTimeoutCause(ctx, patience, cause)
		err := c.writer.request(flushCtx, true)
		if err != nil && !errors.Is(err, page.ErrHasty) && !errors.Is(err, context.Canceled) {
			r.self.scrapeStale.Inc()
		}
		cancel()
	}
	p, err := c.pages.Read(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("app %q: %w", c.opts.App, err)
	}
	r.redisServes("scrape")
	if p.Note != "" {
		r.report("empty app", errors.New(p.Note))
	}
	return p, nil
}

// Gather reads the metrics of all processes from Redis, as Handler does, within
// 5 s. It makes the registry a prometheus.Gatherer. The result is shared and
// must not be changed.
func (r *Registry) Gather() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), DefScrapeTimeout)
	defer cancel()
	p, err := r.scrape(ctx, page.Request{}, DefScrapeTimeout, nil)
	if err != nil {
		return nil, prefixOnce(fmt.Errorf("shoal: gather: %w", err))
	}
	return p.Proto(), nil
}

// negotiate picks the format and says whether to compress.
func (h *handler) negotiate(req *http.Request) (format expfmt.Format, zip bool) {
	offered := []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim, expfmt.FmtText}
	if !h.opts.EnableOpenMetrics {
		offered = offered[1:]
	}
	accept := req.Header
	if len(accept.Get("Accept")) > maxAccept {
		accept = nil
	}
	format = expfmt.NegotiateAccept(accept, offered...)
	return format, !h.opts.DisableCompression && acceptsGzip(req.Header)
}

// compressedAround says whether a middleware around the page compresses what the
// page writes. Before it calls the page, such a middleware sets Content-Encoding, or
// at least Vary: echo's sets Content-Encoding only with the first Write, and gzips
// again what is gzipped already.
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
	accept, other := strings.Join(header.Values("Accept-Encoding"), ","), false
	if len(accept) > maxAccept {
		return false
	}
	for part := range strings.SplitSeq(accept, ",") {
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
