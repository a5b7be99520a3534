package main

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/grapevine-live/grapevine/hls"
)

// figuresEvery is how often a live view asks its node.
const figuresEvery = time.Second

// watchStatus shows a node live until the user or ctx ends it.
func watchStatus(ctx context.Context, env *environment, client *figuresClient, first *hls.Figures, colour bool) error {
	m := statusModel{ask: func() (*hls.Figures, error) { return client.figures(ctx) }, view: statusView{colour: colour}}
	m.view.take(first, time.Now())
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(env.stdin), tea.WithOutput(env.stdout), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return nil // a signal, which ends it well
	}
	return err
}

// answered brings what a node answered to the model.
type answered struct {
	figures *hls.Figures
	err     error
	at      time.Time
}

// due says that the node is to be asked.
type due struct{}

// statusModel is the live view as bubbletea runs it.
type statusModel struct {
	ask  func() (*hls.Figures, error)
	view statusView
}

// Init implements tea.Model.
func (m statusModel) Init() tea.Cmd { return m.wait() }

func (m statusModel) wait() tea.Cmd {
	return tea.Tick(figuresEvery, func(time.Time) tea.Msg { return due{} })
}

// Update implements tea.Model.
func (m statusModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.view.width, m.view.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "right", "tab", "l":
			m.view.choose(1)
		case "left", "shift+tab", "h":
			m.view.choose(-1)
		case "down", "j":
			m.view.scroll++
		case "up", "k":
			m.view.scroll = max(0, m.view.scroll-1)
		}
	case due:
		return m, func() tea.Msg {
			f, err := m.ask()
			return answered{f, err, time.Now()}
		}
	case answered:
		if m.view.lost = msg.err != nil; !m.view.lost {
			m.view.take(msg.figures, msg.at)
		}
		return m, m.wait()
	}
	return m, nil
}

// View implements tea.Model.
func (m statusModel) View() tea.View {
	v := tea.NewView(m.view.String())
	v.AltScreen = true
	v.WindowTitle = "grapevine"
	return v
}
