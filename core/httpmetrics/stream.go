// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"strings"
)

// streams says whether a response with these headers is a stream. It indexes the map,
// since Get would take time to make the key canonical, which it is.
func (x *Exchange) streams(h http.Header) bool {
	contentType := ""
	if v := h["Content-Type"]; len(v) > 0 {
		contentType = v[0]
	}
	return x.rec.Streams(x.request, contentType)
}

// isStreamType says whether a media type, with any parameters, is one of responses that
// have no end of their own. It runs for every response, so it first rules out nearly all
// others by a letter or two.
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

// mediaType returns a media type without its parameters.
func mediaType(contentType string) string {
	contentType, _, _ = strings.Cut(contentType, ";")
	return strings.TrimRight(contentType, " \t")
}

// isStreamSubtype is isStreamType for what comes after application/.
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

// isGRPC says whether it is grpc, grpc-web or grpc-web-text, with a +codec or without.
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
