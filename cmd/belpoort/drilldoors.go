package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// formPath is where objections are taken as IVRs and agents' screens send them.
const formPath = "/v1/objections/form"

// maxFormAnswer bounds what is read of an answer.
const maxFormAnswer = 64 << 10

// newForm is the door of the HTTP form at an address such as http://gate1:2358. It goes by the clock of the first node.
func (d *drill) newForm(f flags, address string) (door, error) {
	place, err := url.Parse(address)
	if err != nil || place.Host == "" || place.Scheme != "http" && place.Scheme != "https" {
		return door{}, fmt.Errorf("--form %q: want an address such as http://127.0.0.1:2358", address)
	}
	key, err := readKey(f)
	if err != nil {
		return door{}, err
	}
	config, err := clientTLS(f)
	if err != nil {
		return door{}, err
	}
	client := &http.Client{Timeout: f.duration("timeout"), Transport: &http.Transport{TLSClientConfig: config}}
	where := strings.TrimSuffix(address, "/") + formPath
	return door{"form " + address, d.nodes[0], func(ctx context.Context, d *drill) (time.Time, error) {
		return d.postForm(ctx, client, where, key)
	}}, nil
}

func (d *drill) postForm(ctx context.Context, client *http.Client, where, key string) (time.Time, error) {
	form := url.Values{
		"callee": {d.canary.GetNumber()}, "campaign": {d.canary.GetCampaign()}, "via": {"IVR"}, "request_id": {d.key()}, "as": {"json"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(form.Encode()))
	if err != nil {
		return time.Time{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Api-Key", key)
	response, err := client.Do(request)
	if err != nil {
		return time.Time{}, unaddressed(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFormAnswer))
	if err != nil {
		return time.Time{}, err
	}
	var answer struct {
		State      string
		RecordTime time.Time
	}
	switch {
	case response.StatusCode != http.StatusOK:
		return time.Time{}, fmt.Errorf("the form was answered %s", response.Status)
	case json.Unmarshal(body, &answer) != nil || answer.State != "IN_FORCE":
		return time.Time{}, errors.New("the form was answered 200, but not IN_FORCE")
	}
	return answer.RecordTime, nil
}

// unaddressed is an error of a client without the address, which the door's name has.
func unaddressed(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	var connected *net.OpError
	if errors.As(err, &connected) {
		err = connected.Err
	}
	return err
}
