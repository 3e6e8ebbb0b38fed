package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/belpoort/belpoort/doors"
	"github.com/belpoort/belpoort/doors/web"
	"github.com/belpoort/belpoort/server"
)

// webDoors are the doors over HTTP of a running node.
type webDoors struct {
	names   *doors.Names
	on      net.Listener // until it serves
	http    *http.Server
	serving net.Addr // nil where the doors are shut
}

// address is where they are served; "" where they are shut.
func (d *webDoors) address() string {
	if d.serving == nil {
		return ""
	}
	return d.serving.String()
}

// openDoors serves the doors over HTTP/1.1 and HTTP/2, under the same certificate as gRPC.
func (n *node) openDoors(o nodeOptions) error {
	if n.doors.on == nil {
		return nil
	}
	handler, err := web.Handler(web.Config{Conn: n.server.Inside(), Names: n.doors.names, Live: n.alive, Ready: n.server.Ready, Log: n.log})
	if err != nil {
		return err
	}
	d := &n.doors
	d.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: zap.NewStdLog(n.log), Protocols: &http.Protocols{},
	}
	d.http.Protocols.SetHTTP1(true)
	d.http.Protocols.SetHTTP2(true)
	d.http.Protocols.SetUnencryptedHTTP2(o.certificate == "")
	listener := d.on
	d.serving = listener.Addr()
	if o.certificate != "" {
		config, err := server.TLSConfig(server.Web, o.certificate, o.key, o.clients, nil)
		if err != nil {
			return err
		}
		listener = tls.NewListener(listener, config)
	}
	d.on = nil // the server closes it
	go func() {
		if err := d.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("the doors over HTTP are shut", zap.Error(err))
		}
	}()
	return nil
}

// stop lets requests under way finish, and cuts off what does not within the time there is.
func (d *webDoors) stop(ctx context.Context) error {
	if d.http == nil {
		return nil
	}
	if err := d.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests over HTTP were cut off: %w", err), d.http.Close())
	}
	return nil
}

// maxFormNames bounds the file, in bytes.
const maxFormNames = 64 << 10

func readFormNames(file string) (*doors.Names, error) {
	if file == "" {
		return doors.StandardNames(), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if len(data) > maxFormNames {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxFormNames)
	}
	var more map[string][]string
	if err := yaml.Unmarshal(data, &more); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	names, err := doors.StandardNames().With(more)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return names, nil
}
