// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"strings"
)

// streams says whether a response with these headers is a stream. It looks at
// the map itself: the key is in canonical form unless somebody went out of
// their way, and Get would spend time to make sure.
func (x *Exchange) streams(h http.Header) bool {
	contentType := ""
	if v := h["Content-Type"]; len(v) > 0 {
		contentType = v[0]
		if isStreamType(contentType) {
			return true
		}
	}
	stream := x.rec.opts.Stream
	return stream != nil && contained(func(r *http.Request) bool { return stream(r, contentType) }, x.request, false)
}

// isStreamType knows the media types of responses that have no end of their
// own, whatever their parameters. It runs for every response, so a letter or two
// rule out nearly all others.
func isStreamType(contentType string) bool {
	if len(contentType) < len("application/grpc") { // the shortest
		return false
	}
	switch contentType[0] | 0x20 { // in small letters
	case 't':
		const eventStream = "text/event-stream"
		return contentType[5]|0x20 == 'e' && strings.EqualFold(mediaType(contentType), eventStream)
	case 'm':
		return strings.EqualFold(mediaType(contentType), "multipart/x-mixed-replace")
	case 'a':
		const application = "application/"
		switch contentType[len(application)] | 0x20 {
		case 'c', 'g', 'j', 'n', 's', 'x':
		default:
			return false
		}
		if strings.HasPrefix(contentType[len(application):], "json;") || contentType == "application/json" {
			return false
		}
		full := mediaType(contentType)
		return hasPrefixFold(full, application) && isStreamSubtype(full[len(application):])
	}
	return false
}

// mediaType leaves out the parameters.
func mediaType(contentType string) string {
	contentType, _, _ = strings.Cut(contentType, ";")
	return strings.TrimRight(contentType, " \t")
}

// isStreamSubtype is about those of application/.
func isStreamSubtype(subtype string) bool {
	for _, s := range [...]string{
		"x-ndjson", "ndjson", // a JSON text a line
		"jsonl", "x-jsonl", "jsonlines", "x-jsonlines",
		"json-seq", "stream+json",
	} {
		if len(subtype) == len(s) && strings.EqualFold(subtype, s) {
			return true
		}
	}
	return isGRPC(subtype) || hasPrefixFold(subtype, "connect+")
}

// isGRPC knows grpc, grpc-web and grpc-web-text, with a +codec or without.
func isGRPC(subtype string) bool {
	const grpc, web, text = "grpc", "-web", "-text"
	if !hasPrefixFold(subtype, grpc) {
		return false
	}
	rest := subtype[len(grpc):]
	if hasPrefixFold(rest, web) {
		rest = rest[len(web):]
		if hasPrefixFold(rest, text) {
			rest = rest[len(text):]
		}
	}
	return rest == "" || rest[0] == '+'
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
