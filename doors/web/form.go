package web

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/belpoort/belpoort/doors"
)

// objectionForm takes an objection as IVRs and screens send it. 200 says that it is in force, 202 that it is kept and will be.
func (d *web) objectionForm(w http.ResponseWriter, r *http.Request) {
	d.form(w, r, func(key string, fields doors.Fields) (*said, error) {
		taken, err := d.forms.Object(r.Context(), key, fields)
		if err != nil {
			return nil, err
		}
		return objected(taken), nil
	})
}

// said is what a form is answered, apart from its form.
type said struct {
	status    int
	State     string `json:"state"`
	Receipt   string `json:"receipt,omitempty"`
	Spelled   string `json:"spelled,omitempty"` // the receipt, to be read aloud
	Recorded  string `json:"recordTime,omitempty"`
	Say       string `json:"say,omitempty"` // what to tell the caller
	objection *doors.Objected
}

func objected(o *doors.Objected) *said {
	s := &said{
		status: http.StatusAccepted, State: "PENDING", Receipt: o.Receipt, Spelled: doors.Aloud(o.Receipt),
		Recorded: o.At.UTC().Format(time.RFC3339Nano), objection: o,
	}
	if o.InForce {
		s.State = "IN_FORCE"
	}
	if o.InForce || mutantPendingOK {
		s.status = http.StatusOK
	}
	return s
}

func (s *said) in(language string) *said {
	if s.objection != nil {
		s.Say = s.objection.Sentence(language)
	}
	return s
}

// form reads a form, does what it asks and answers in the form that is wanted.
func (d *web) form(w http.ResponseWriter, r *http.Request, do func(key string, fields doors.Fields) (*said, error)) {
	fields, refused := d.fieldsOf(w, r)
	v, unknown := voiceOf(r, fields)
	key, unkeyed := keyOf(r)
	for _, refused := range []*refusal{refused, unknown, unkeyed} {
		if refused != nil {
			v.trouble(w, refused.status, refused.trouble)
			return
		}
	}
	answer, err := do(key, fields)
	if trouble, ok := errors.AsType[*doors.Trouble](err); ok {
		v.trouble(w, statusOf(trouble.Code), trouble)
		return
	}
	v.answer(w, answer.in(v.language))
}

// voice is in which form and language a form is answered.
type voice struct {
	form     string // text, json, twiml or voicexml
	language string
}

// accepted are the forms by the media types that ask for them.
var accepted = map[string]string{
	"text/plain": "text", "application/json": "json", "application/xml": "twiml", "text/xml": "twiml",
	"application/voicexml+xml": "voicexml",
}

var forms = []string{"json", "text", "twiml", "voicexml"}

func voiceOf(r *http.Request, fields doors.Fields) (voice, *refusal) {
	v := voice{strings.ToLower(fields[doors.As]), strings.ToLower(fields[doors.Language])}
	known := v
	if known.form == "" || !slices.Contains(forms, known.form) {
		known.form = formOf(r.Header.Get("Accept"))
	}
	if !slices.Contains(doors.Languages, known.language) {
		known.language = doors.Languages[0]
	}
	for _, word := range []struct {
		field        doors.Field
		given, taken string
		words        []string
	}{{doors.As, v.form, known.form, forms}, {doors.Language, v.language, known.language, doors.Languages}} {
		if word.given != "" && word.given != word.taken {
			return known, &refusal{http.StatusBadRequest, &doors.Trouble{
				Code: doors.Wrong, Reason: doors.ReasonWord, Field: string(word.field),
				Sentence: string(word.field) + " must be one of " + strings.Join(word.words, ", "),
			}}
		}
	}
	return known, nil
}

// formOf is the first form that is accepted; text where none is.
func formOf(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, _, err := mime.ParseMediaType(part); err == nil && accepted[kind] != "" {
			return accepted[kind]
		}
	}
	return "text"
}

func (v voice) answer(w http.ResponseWriter, s *said) {
	switch v.form {
	case "json":
		v.write(w, s.status, "application/json", jsonText(s))
	case "twiml", "voicexml":
		v.speak(w, s.status, s.Say, s.Receipt)
	default:
		text := s.State + "\n" // an offer has nothing to tell
		if s.Receipt != "" {
			text = s.State + " " + s.Receipt + "\n" + s.Say + " " + doors.ReceiptSentence(v.language) + " " + s.Spelled + ".\n"
		}
		v.write(w, s.status, plainText, text)
	}
}

func (v voice) trouble(w http.ResponseWriter, status int, t *doors.Trouble) {
	switch v.form {
	case "json":
		writeProblem(w, status, t)
	case "twiml", "voicexml":
		troubleHeaders(w, status, t)
		v.speak(w, status, doors.FailedSentence(v.language), "")
	default:
		troubleHeaders(w, status, t)
		v.write(w, status, plainText, "ERROR "+t.Reason+" "+t.Sentence+"\n")
	}
}

func (v voice) write(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text) + "\n"
}

// locales are how telephony platforms name the languages.
var locales = map[string]string{"nl": "nl-NL", "en": "en-GB"}

// speak says a sentence, and the receipt twice: who writes it down needs the time.
func (v voice) speak(w http.ResponseWriter, status int, sentence, receipt string) {
	locale, introduction := locales[v.language], doors.ReceiptSentence(v.language)
	var body string
	if v.form == "twiml" {
		say := func(text string) string { return `<Say language="` + locale + `">` + escaped(text) + "</Say>" }
		if sentence != "" {
			body = say(sentence)
		}
		if receipt != "" {
			spelled := say(doors.Aloud(receipt))
			body += say(introduction) + spelled + `<Pause length="1"/>` + spelled
		}
		body = "<Response>" + body + "</Response>"
	} else {
		body = escaped(sentence)
		if receipt != "" {
			groups := strings.Split(receipt, "-")
			for i := range groups {
				groups[i] = `<say-as interpret-as="characters">` + escaped(groups[i]) + "</say-as>"
			}
			spelled := strings.Join(groups, `<break time="500ms"/>`)
			body += " " + escaped(introduction) + " " + spelled + `<break time="1s"/>` + spelled
		}
		body = `<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml" xml:lang="` + locale + `"><form><block><prompt>` + body +
			"</prompt></block></form></vxml>"
	}
	kind := map[string]string{"twiml": "application/xml", "voicexml": "application/voicexml+xml"}[v.form]
	v.write(w, status, kind, xml.Header+body+"\n")
}

func escaped(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // a Builder takes everything
	return out.String()
}

// offerForm takes word of an offer of the right of objection.
func (d *web) offerForm(w http.ResponseWriter, r *http.Request) {
	d.form(w, r, func(key string, fields doors.Fields) (*said, error) {
		offered, err := d.forms.Offer(r.Context(), key, fields)
		if err != nil {
			return nil, err
		}
		switch {
		case offered.Objection != nil:
			return objected(offered.Objection), nil
		case offered.Result == "":
			return &said{status: http.StatusAccepted, State: offered.Meaning}, nil // nothing is recorded yet
		default:
			return &said{status: http.StatusOK, State: offered.Result}, nil
		}
	})
}
