package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"iter"
	"strconv"
)

// A page token contains the last key already returned, so that objects created or deleted between two pages neither
// shift nor repeat the others. It is bound to the request by a MAC: a token of another list, or an altered one, is an
// error.
const (
	tokenMAC   = 12
	tokenPlain = '.'
	tokenEmpty = '!' // the next page is empty, with a token for the same position
)

func (c *call) encodeToken(kind byte, after string) string {
	payload := append([]byte{kind}, after...)
	return base64.RawURLEncoding.EncodeToString(append(c.tokenMAC(payload), payload...))
}

func (c *call) decodeToken(token string) (kind byte, after string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= tokenMAC || !hmac.Equal(raw[:tokenMAC], c.tokenMAC(raw[tokenMAC:])) {
		return 0, "", invalid("page_token is not a token of this list.")
	}
	return raw[tokenMAC], string(raw[tokenMAC+1:]), nil
}

// tokenMAC returns a MAC over the payload, the path and every query parameter that selects what is listed.
func (c *call) tokenMAC(payload []byte) []byte {
	query := c.req.URL.Query()
	query.Del("page_token")
	query.Del("max_results")
	query.Del("page_size")
	mac := hmac.New(sha256.New, c.srv.tokenKey)
	mac.Write([]byte(c.req.URL.Path + "?" + query.Encode() + "\x00"))
	mac.Write(payload)
	return mac.Sum(nil)[:tokenMAC]
}

// pageSize returns the page size by max_results: absent or 0 means Options.PageSize; at most Options.MaxPageSize.
func (c *call) pageSize() (int, error) { return c.sizeOfPage("max_results") }

// sizeOfPage returns the page size by the parameter of that name.
func (c *call) sizeOfPage(name string) (int, error) {
	size, _, err := c.number(name)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		size = c.srv.opts.PageSize
	}
	return min(size, c.srv.opts.MaxPageSize), nil
}

// number returns a parameter of the query that is a number of at least 0, and whether it is present.
func (c *call) number(name string) (n int, present bool, err error) {
	text := c.req.URL.Query().Get(name)
	if text == "" {
		return 0, false, nil
	}
	wide, err := strconv.ParseInt(text, 10, 32)
	if err != nil || wide < 0 {
		return 0, true, invalid("%s must be a number of at least 0, not '%s'.", name, text)
	}
	return int(wide), true, nil
}

// takePage returns one page of at most size items, keyed in order, and the token of the next page, "" at the end.
func takePage[T any](c *call, size int, items func(after string) iter.Seq2[string, T]) (page []T, next string, err error) {
	kind, after := byte(tokenPlain), ""
	if token := c.req.URL.Query().Get("page_token"); token != "" {
		if kind, after, err = c.decodeToken(token); err != nil {
			return nil, "", err
		}
	}
	if kind == tokenEmpty || kind == tokenPlain && c.list.emptyPage {
		return nil, c.encodeToken(tokenPlain, after), nil
	}
	for key, item := range items(after) {
		if c.list.leftOut != nil && c.list.leftOut() {
			after = key
			continue
		}
		if len(page) == size {
			kind = tokenPlain
			if c.srv.opts.EmptyPages {
				kind = tokenEmpty
			}
			return page, c.encodeToken(kind, after), nil
		}
		page = append(page, item)
		after = key
	}
	return page, "", nil
}

// listObjects returns one page of at most size objects, as view renders them, under the given JSON key.
func listObjects(c *call, size int, key string, view func(*object) any, items func(after string) iter.Seq2[string, *object]) (any, error) {
	objects, next, err := takePage(c, size, items)
	if err != nil {
		return nil, err
	}
	rendered := make([]any, len(objects))
	for i, o := range objects {
		rendered[i] = view(o)
	}
	return pageOf(key, rendered, next), nil
}

// pageOf returns the JSON form of a page. Like the real server it leaves out empty fields.
func pageOf[T any](key string, items []T, next string) map[string]any {
	answer := make(map[string]any, 2)
	if len(items) > 0 {
		answer[key] = items
	}
	if next != "" {
		answer["next_page_token"] = next
	}
	return answer
}
