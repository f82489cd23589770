"""The check-out form."""

from django import forms

from shop.models import Order


class CheckoutForm(forms.ModelForm):
    email = forms.EmailField(label="E-mail")
    seats = forms.TypedChoiceField(
        choices=[(number, str(number)) for number in range(1, 5)], coerce=int, initial=2
    )

    class Meta:
        model = Order
        fields = ("name", "email", "seats")
