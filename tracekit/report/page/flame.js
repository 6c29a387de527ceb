const startFlame = (view, controls) => {};
